import assert from "node:assert/strict";
import { test } from "node:test";
import { LookPatience } from "./look-patience.ts";

test("a guest has ten times what it took before the migration, from 5 to 10 s", () => {
  assert.deepEqual(
    [100, 700, 3_000].map((tookMs) => new LookPatience(tookMs).waitedForMs),
    [5_000, 7_000, 10_000],
  );
});

test("a slow guest has twice its last answer's time, but no more than what waits would take to leave", () => {
  const patience = new LookPatience(500);
  const sent = { pages: 500_000, ms: 20_000 };
  patience.answered(12_000, 1_500_000, sent);
  assert.equal(patience.waitedForMs, 24_000);
  patience.answered(20_000, 1_500_000, sent);
  assert.equal(patience.waitedForMs, patience.unhurriedMs);
  patience.answered(20_000, 400_000, sent);
  assert.equal(patience.waitedForMs, 16_000);
  patience.answered(20_000, 10_000, sent);
  assert.equal(patience.waitedForMs, 5_000);
  assert.equal(patience.leastMs, 5_000);
});

test("where nothing was sent yet nobody knows what waiting costs", () => {
  const patience = new LookPatience(500);
  patience.answered(20_000, 1_000_000, { pages: 0, ms: 20_000 });
  assert.equal(patience.waitedForMs, 5_000);
});
