import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { appendToRunLog, pendingRuns, readRunLog } from "./run-log.ts";

const schema = z.object({ run: z.number() });

test("kept runs come back, a line that was broken off does not, and the next takes its place", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "run-log-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "deeper", "runs.jsonl");
  assert.deepEqual(readRunLog(path, schema), []);
  appendToRunLog(path, { run: 1 });
  appendFileSync(path, '{"run":2');
  assert.deepEqual(readRunLog(path, schema), [{ run: 1 }]);
  appendToRunLog(path, { run: 3 });
  assert.deepEqual(readRunLog(path, schema), [{ run: 1 }, { run: 3 }]);
  assert.equal(readFileSync(path, "utf8"), '{"run":1}\n{"run":3}\n');
});

test("runs come round by round, and none that is kept", () => {
  const kept = new Map([["a", 1]]);
  const made: string[] = [];
  const repeats = (cell: string) => (cell === "c" ? 1 : 2);
  for (const { cell, repeat } of pendingRuns(["a", "b", "c"], repeats, (cell) => kept.get(cell) ?? 0)) {
    made.push(`${cell}${repeat}`);
    kept.set(cell, (kept.get(cell) ?? 0) + 1);
  }
  assert.deepEqual(made, ["b1", "c1", "a2", "b2"]);
});
