import assert from "node:assert/strict";
import { test } from "node:test";
import { CompressionChoice, shouldCompress } from "./choice.ts";
import { LinkMeter } from "./link-meter.ts";

/** One of two connections; processor rates of one core as recorded with TLS on an idle machine (FACTS 10). */
const recorded = { zstdBytesPerSecond: 0.43e9, plainBytesPerSecond: 1.3e9, sizeLeft: 0.34 };

test("recorded rates: 1 Gbit/s compresses, 10 Gbit/s does not, from either state", () => {
  for (const compressing of [true, false]) {
    assert.equal(shouldCompress({ ...recorded, linkBytesPerSecond: 62.5e6 }, compressing), true);
    assert.equal(shouldCompress({ ...recorded, linkBytesPerSecond: 625e6 }, compressing), false);
    assert.equal(
      shouldCompress({ ...recorded, linkBytesPerSecond: Number.POSITIVE_INFINITY }, compressing),
      false,
    );
  }
});

test("between the two borders things stay as they are", () => {
  const rates = { ...recorded, linkBytesPerSecond: 0.5e9 };
  assert.equal(shouldCompress(rates, true), true);
  assert.equal(shouldCompress(rates, false), false);
});

test("memory that hardly shrinks is compressed only where that costs no time", () => {
  assert.equal(shouldCompress({ ...recorded, sizeLeft: 0.98, linkBytesPerSecond: 62.5e6 }, true), true);
  assert.equal(shouldCompress({ ...recorded, sizeLeft: 0.98, linkBytesPerSecond: 0.6e9 }, true), false);
});

/** Runs a sender of 1 MiB batches against a modelled link and processor; tells what part was compressed at the end. */
function simulate(link: (ms: number) => number, zstdBytesPerSecond: number, seconds: number): number[] {
  let nowMs = 0;
  const meter = new LinkMeter(() => nowMs);
  const choice = new CompressionChoice("auto", meter);
  let linkFreeAtMs = 0;
  const compressedPart: number[] = [];
  for (let second = 0; second < seconds; second += 1) {
    let compressed = 0;
    let batches = 0;
    while (nowMs < 1000 * (second + 1)) {
      const compress = choice.wantsCompression();
      const bytes = compress ? 350_000 : 1_048_576;
      const tookMs = (1000 * 1_048_576) / (compress ? zstdBytesPerSecond : 1.3e9);
      nowMs += tookMs;
      if (compress) choice.compressed(1_048_576, bytes, tookMs);
      else choice.stored(bytes);
      linkFreeAtMs = Math.max(linkFreeAtMs, nowMs) + (1000 * bytes) / link(nowMs);
      if (linkFreeAtMs > nowMs + 10) {
        meter.waits();
        nowMs = linkFreeAtMs - 10;
        meter.goesOn();
      }
      meter.took(bytes);
      batches += 1;
      compressed += compress ? 1 : 0;
    }
    compressedPart.push(compressed / batches);
  }
  return compressedPart;
}

test("auto keeps compressing on a slow link, and stops on a fast one", () => {
  assert.ok(simulate(() => 62.5e6, 0.43e9, 20).every((part) => part === 1));
  const fast = simulate(() => 2e9, 0.43e9, 20);
  assert.equal(fast.at(-1), 0, fast.join());
});

test("zstd stays where it keeps up with the link", () => {
  assert.equal(simulate(() => 0.6e9, 2e9, 10).at(-1), 1);
  assert.equal(simulate(() => 0.12e9, 0.43e9, 10).at(-1), 1);
});

test("auto follows a link that changes, to either side", () => {
  const slowed = simulate((ms) => (ms < 15_000 ? 2e9 : 40e6), 0.43e9, 40);
  assert.equal(slowed[12], 0);
  assert.equal(slowed.at(-1), 1, slowed.join());
  const quickened = simulate((ms) => (ms < 5_000 ? 40e6 : 2e9), 0.43e9, 40);
  assert.equal(quickened[3], 1);
  assert.equal(quickened.at(-1), 0, quickened.join());
});

test("where the processor is the limit but the link is slow too, plain sending is only tried", () => {
  const parts = simulate(() => 60e6, 0.15e9, 60);
  const compressed = parts.reduce((sum, part) => sum + part, 0) / parts.length;
  assert.ok(compressed > 0.95 && compressed < 1, parts.map((part) => part.toFixed(2)).join());
});

test("a short migration isn't spent on trials", () => {
  assert.ok(simulate(() => 2e9, 0.43e9, 1).every((part) => part === 1));
});

test("none and zstd are obeyed, and auto without a meter compresses", () => {
  assert.equal(new CompressionChoice("none", undefined).wantsCompression(), false);
  assert.equal(new CompressionChoice("zstd", undefined).wantsCompression(), true);
  assert.equal(new CompressionChoice("auto", undefined).wantsCompression(), true);
});

test("the meter tells a link's rate from a lower bound", () => {
  let nowMs = 0;
  const meter = new LinkMeter(() => nowMs);
  for (let step = 0; step < 10; step += 1) {
    nowMs += 50;
    meter.took(1_000_000);
  }
  assert.deepEqual(meter.reading, { bytesPerSecond: 20e6, limited: false });
  for (let step = 0; step < 10; step += 1) {
    meter.waits();
    nowMs += 50;
    meter.goesOn();
    meter.took(1_000_000);
  }
  assert.equal(meter.reading.limited, true);
  assert.ok(Math.abs(meter.reading.bytesPerSecond - 20e6) < 5e6);
});
