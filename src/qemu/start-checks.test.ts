import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { commandLine } from "./command-line.ts";
import { parseMachineFile } from "./machine-file.ts";
import { checkHugePages } from "./start-checks.ts";

const machine = parseMachineFile("name: web\nmemory: 64MiB\nmemoryBackend: {kind: memfd, hugePages: true}");

test("a machine of huge pages asks QEMU for such memory under the usual name", () => {
  const arguments_ = commandLine(machine, { folder: "/state" });
  const object = JSON.parse(arguments_[arguments_.indexOf("-object") + 1]!);
  assert.deepEqual(
    [object.id, object["qom-type"], object.share, object.hugetlb, object.hugetlbsize],
    ["pc.ram", "memory-backend-memfd", true, true, 2 * 1024 ** 2],
  );
});

test("it is refused in words where the host has too few of them, and others are not asked", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-huge-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const count = join(folder, "free_hugepages");
  const refused = { code: "GODWIT_NO_MEMORY", message: /needs 32 huge pages of 2 MiB/ };
  assert.throws(() => checkHugePages(machine, count), refused);
  writeFileSync(count, "31\n");
  assert.throws(() => checkHugePages(machine, count), refused);
  checkHugePages({ ...machine, memoryBackend: { kind: "memfd", hugePages: false } }, count);
  writeFileSync(count, "32\n");
  checkHugePages(machine, count);
});

test("memory of huge pages is a multiple of them", () => {
  const text = "name: web\nmemory: 65544KiB\nmemoryBackend: {kind: memfd, hugePages: true}";
  assert.throws(() => parseMachineFile(text), {
    code: "GODWIT_MACHINE_FILE",
    message: /line 2.*multiples of 2 MiB/,
  });
});
