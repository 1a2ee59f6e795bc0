import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { forgetCapture, keepCapture, readKeptCapture } from "./kept-capture.ts";

const stateOf = (mark: number) => ({ format: 1 as const, devices: { nic: mark }, shadows: {} });

test("of what was read of a machine the last that is whole counts, until it is undone", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-kept-capture-"));
  context.after(() => rmSync(folder, { recursive: true }));
  assert.equal(readKeptCapture(folder), null);
  keepCapture(folder, stateOf(1));
  keepCapture(folder, stateOf(2));
  assert.deepEqual(readKeptCapture(folder), stateOf(2));
  appendFileSync(join(folder, "captured-devices.jsonl"), '{"format":1,"dev');
  assert.deepEqual(readKeptCapture(folder), stateOf(2), "its writer died in the middle of the next");
  forgetCapture(folder);
  assert.equal(readKeptCapture(folder), null);
});
