import assert from "node:assert/strict";
import { test } from "node:test";
import { SendWindow } from "./send-window.ts";

const BATCH_PAGES = 256;

/**
 * Runs a window over a pipe that takes `delayMs` and lets `perMs` batches through a millisecond.
 * @returns batches placed a millisecond at the end, and the largest number under way
 */
function through(delayMs: number, perMs: number, durationMs: number): { rate: number; size: number } {
  const window = new SendWindow(BATCH_PAGES);
  const arrivals: number[] = [];
  let pipeFreeMs = 0;
  let placed = 0;
  let late = 0;
  for (let now = 1; now <= durationMs; now++) {
    while (arrivals.length > 0 && arrivals[0]! <= now) {
      arrivals.shift();
      placed += 1;
      if (now > durationMs / 2) late += 1;
      window.placed(placed, now);
    }
    while (window.isOpen) {
      window.dealt(BATCH_PAGES, now);
      pipeFreeMs = Math.max(pipeFreeMs, now) + 1 / perMs;
      arrivals.push(pipeFreeMs + delayMs);
    }
  }
  return { rate: late / (durationMs / 2), size: window.size / BATCH_PAGES };
}

test("a near link is filled with a few batches under way", () => {
  const { rate, size } = through(3, 0.2, 4000);
  assert.ok(rate > 0.19, `${rate}`);
  assert.equal(size, 4);
});

test("a far link is filled, too, with as many as its round trip holds", () => {
  const { rate, size } = through(100, 0.2, 20_000);
  assert.ok(rate > 0.19, `${rate}`);
  assert.ok(size >= 20 && size <= 40, `${size}`);
});

test("the window stays bounded however long the delay", () => {
  assert.ok(through(5000, 1, 60_000).size <= 64);
});

test("small batches leave less under way", () => {
  const window = new SendWindow(BATCH_PAGES);
  assert.equal(window.size, 1024);
  window.setBatchPages(64);
  assert.equal(window.size, 256);
});

test("batches that are nearly empty may be as many as a pipe has stages", () => {
  const window = new SendWindow(BATCH_PAGES);
  for (let batch = 0; batch < 3; batch++) window.dealt(1024, 0);
  assert.ok(window.isOpen);
  window.dealt(1, 0);
  assert.ok(!window.isOpen);
});

test("once nothing newer can come more may be under way than a stage each", () => {
  const window = new SendWindow(BATCH_PAGES);
  const fill = () => {
    let batches = 0;
    for (; window.isOpen; batches++) window.dealt(BATCH_PAGES, 1);
    return batches;
  };
  assert.equal(fill(), 4);
  window.widen();
  assert.equal(fill(), 12);
});
