import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultLatency } from "./fault-latency.ts";

test("without any request all figures are zero", () => {
  assert.deepEqual(new FaultLatency().figures(1000), {
    faults: 0,
    latencyCounts: [],
    p50Us: 0,
    p99Us: 0,
    stalledMs: 0,
  });
});

test("a request lasts until its page is placed, and no other page ends it", () => {
  const latency = new FaultLatency();
  latency.asked(0, 7, 100);
  assert.ok(latency.waits);
  latency.placed(1, 7, 101);
  latency.placed(0, 8, 101);
  assert.ok(latency.waits);
  latency.placed(0, 7, 102);
  assert.ok(!latency.waits);
  assert.equal(latency.figures(500).p50Us, 2000);
});

test("asking again while a page is waited for counts once, from the first time on", () => {
  const latency = new FaultLatency();
  latency.asked(0, 7, 100);
  latency.asked(0, 7, 104);
  latency.placed(0, 7, 108);
  latency.placed(0, 7, 109);
  const { faults, p99Us, latencyCounts } = latency.figures(200);
  assert.deepEqual([faults, p99Us], [1, 8000]);
  assert.equal(
    latencyCounts.reduce((sum, count) => sum + count, 0),
    1,
  );
});

test("asking for a page that was placed before is another request", () => {
  const latency = new FaultLatency();
  for (const atMs of [10, 20]) {
    latency.asked(0, 7, atMs);
    latency.placed(0, 7, atMs + 1);
  }
  assert.equal(latency.figures(30).faults, 2);
});

test("each latency falls into the bucket of the next power of two microseconds", () => {
  const buckets = [
    [1 / 1024, 0],
    [2 / 1000, 1],
    [3 / 1000, 2],
    [4 / 1000, 2],
    [1.024, 10],
    [1.025, 11],
    [1e12, 39],
  ] as const;
  for (const [milliseconds, bucket] of buckets) {
    const latency = new FaultLatency();
    latency.asked(0, 0, 0);
    latency.placed(0, 0, milliseconds);
    const { latencyCounts } = latency.figures(milliseconds);
    assert.equal(latencyCounts.length, bucket + 1, `${milliseconds} ms`);
    assert.equal(latencyCounts[bucket], 1);
  }
});

test("percentiles are those of the latencies, in whatever order they came", () => {
  const latency = new FaultLatency();
  for (let page = 0; page < 100; page++) latency.asked(0, page, 0);
  for (let page = 99; page >= 0; page--) latency.placed(0, page, page + 1);
  const { p50Us, p99Us } = latency.figures(1000);
  assert.deepEqual([p50Us, p99Us], [51_000, 100_000]);
});

test("time counts as stalled once, however many requests wait, and also while the last one still waits", () => {
  const latency = new FaultLatency();
  latency.asked(0, 1, 100);
  latency.asked(0, 2, 110);
  latency.placed(0, 1, 120);
  latency.placed(0, 2, 130);
  assert.equal(latency.figures(200).stalledMs, 30);
  latency.asked(0, 3, 200);
  assert.equal(latency.figures(205).stalledMs, 35);
  assert.equal(latency.figures(207).stalledMs, 37);
  latency.placed(0, 3, 210);
  assert.equal(latency.figures(900).stalledMs, 40);
});
