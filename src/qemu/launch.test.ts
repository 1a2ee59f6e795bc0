import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

/**
 * Starts a QEMU that ends at once. A busy kernel shows such a process as ended before it tells its parent: here that
 * takes as long as the stand-in runs. Nothing else keeps this program.
 */
const program = `
  import fs from "node:fs";
  import { syncBuiltinESMExports } from "node:module";
  const { readFileSync } = fs;
  fs.readFileSync = (path, ...more) => {
    const read = readFileSync(path, ...more);
    const isOfChild = /^.proc.\\d+.stat$/.test(path) && path !== "/proc/" + process.pid + "/stat";
    return isOfChild ? read.replace(/\\) \\w /, ") Z ") : read;
  };
  syncBuiltinESMExports();
  const { parseMachineFile, startMachine } = await import(process.argv[1]);
  const machine = parseMachineFile("name: web\\nmemory: 64MiB");
  await startMachine(machine, { stateFolder: process.argv[2], qemu: process.argv[3] }).then(
    () => console.log("started"),
    (error) => console.log(error.code),
  );
`;

test("a QEMU that ends at once fails its start, though nothing else keeps the process that waits for it", () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-launch-"));
  const qemu = join(folder, "qemu");
  writeFileSync(qemu, "#!/bin/sh\nsleep 0.2\nexit 1\n", { mode: 0o700 });
  const library = join(import.meta.dirname, "index.ts");
  const parameters = ["--input-type=module", "--eval", program, library, join(folder, "state"), qemu];
  const { status, stdout, stderr } = spawnSync(process.execPath, parameters, { encoding: "utf8" });
  rmSync(folder, { recursive: true });
  assert.equal(status, 0, stderr);
  assert.equal(stdout.trim(), "GODWIT_QEMU_START");
});
