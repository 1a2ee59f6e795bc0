import assert from "node:assert/strict";
import { test } from "node:test";
import { ArrivalRate, LateChoice } from "./late-choice.ts";

const BATCH_BYTES = 262_144;

/** Sends batch after batch for some seconds; tells which part of the last second's were compressed. */
function send(choice: LateChoice, plainBytesPerSecond: number, zstdBytesPerSecond: number, seconds: number) {
  let compressed = 0;
  let batches = 0;
  for (let nowMs = 0; nowMs < seconds * 1000; ) {
    const { compressing } = choice;
    choice.left(nowMs);
    nowMs += (BATCH_BYTES * 1000) / (compressing ? zstdBytesPerSecond : plainBytesPerSecond);
    choice.arrived(BATCH_BYTES, compressing, true, nowMs);
    if (nowMs < (seconds - 1) * 1000) continue;
    batches += 1;
    compressed += compressing ? 1 : 0;
  }
  return compressed / batches;
}

test("where the processor is the limit, late rounds go without compression", () => {
  assert.equal(send(new LateChoice(40e6), 60e6, 40e6, 4), 0);
});

test("on a link that is too slow for it, one trial shows that compression is faster", () => {
  const choice = new LateChoice(40e6);
  assert.equal(send(choice, 12e6, 40e6, 2), 1);
});

test("without knowing zstd's rate it is tried after a while, and left again where it is slower", () => {
  const choice = new LateChoice(0);
  assert.equal(send(choice, 60e6, 40e6, 5), 0);
  assert.equal(send(choice, 60e6, 40e6, 9), 0);
  const slow = new LateChoice(0);
  assert.equal(send(slow, 12e6, 40e6, 8), 1);
});

test("what was sent in the other way doesn't count for this one", () => {
  const choice = new LateChoice(40e6);
  choice.left(0);
  choice.arrived(BATCH_BYTES, true, true, 1000);
  choice.arrived(BATCH_BYTES, false, true, 1005);
  assert.equal(choice.compressing, false);
});

test("a rate counts only the time with something under way", () => {
  const rate = new ArrivalRate();
  rate.left(0);
  assert.equal(rate.arrived(1_000_000, false, 200), false);
  rate.left(10_000);
  assert.equal(rate.arrived(2_000_000, false, 10_100), true);
  assert.equal(rate.bytesPerSecond, 10_000_000);
});
