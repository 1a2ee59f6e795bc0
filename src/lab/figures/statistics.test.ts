import assert from "node:assert/strict";
import { test } from "node:test";
import { logTicks } from "./log-ticks.ts";
import { crossing, medianOf, spreadOf } from "./statistics.ts";

test("a spread is the median with the smallest and the largest, in any order", () => {
  assert.deepEqual(spreadOf([5, 1, 3]), { median: 3, low: 1, high: 5, runs: 3 });
  assert.deepEqual(spreadOf([4, 2]), { median: 3, low: 2, high: 4, runs: 2 });
  assert.equal(spreadOf([]), null);
  assert.equal(medianOf([]), null);
});

test("a ratio passes 1 between two points, on logarithmic axes", () => {
  const points = [
    { x: 100, ratio: 0.5 },
    { x: 10_000, ratio: 2 },
  ];
  assert.ok(Math.abs(crossing(points)! - 1000) < 1e-6);
  assert.ok(Math.abs(crossing(points.map(({ x, ratio }) => ({ x, ratio: 1 / ratio })))! - 1000) < 1e-6);
  assert.equal(
    crossing([
      { x: 100, ratio: 0.5 },
      { x: 200, ratio: 0.9 },
    ]),
    null,
  );
  assert.equal(crossing([{ x: 100, ratio: 0.5 }]), null);
  assert.equal(crossing([]), null);
  assert.equal(
    crossing([
      { x: 100, ratio: 1 },
      { x: 200, ratio: 2 },
    ]),
    100,
  );
});

test("a logarithmic axis begins and ends at a tick, with few lines over many decades", () => {
  assert.deepEqual(logTicks(64, 480), [50, 100, 200, 500]);
  assert.deepEqual(logTicks(1, 1), [1]);
  assert.deepEqual(logTicks(0.3, 4000), [0.2, 1, 10, 100, 1000, 5000]);
});
