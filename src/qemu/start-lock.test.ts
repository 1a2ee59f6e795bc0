import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { identifyProcess } from "./process-table.ts";
import { takeStartLock } from "./start-lock.ts";

test("one at a time holds the lock, and it can be taken again after it was released", () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-lock-"));
  const path = join(folder, "start.lock");
  const release = takeStartLock(path);
  assert.throws(() => takeStartLock(path), { code: "GODWIT_MACHINE_BUSY" });
  release();
  assert.equal(existsSync(path), false);
  takeStartLock(path)();
  assert.deepEqual(readdirSync(folder), []);
  rmSync(folder, { recursive: true });
});

test("a lock left by a process that is gone, or that makes no sense, is cleared", () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-lock-"));
  const path = join(folder, "start.lock");
  const gone = { ...identifyProcess(process.pid), startTicks: 1 };
  for (const content of [JSON.stringify(gone), "", "nonsense", "{}"]) {
    writeFileSync(path, content);
    takeStartLock(path)();
    assert.deepEqual(readdirSync(folder), []);
  }
  rmSync(folder, { recursive: true });
});
