import assert from "node:assert/strict";
import { test } from "node:test";
import { labResultSchema } from "./lab-result.ts";
import { mediansOf } from "./medians.ts";
import { exampleResult } from "./testing/example-result.ts";

test("every number is the median of its own, also deep inside", () => {
  const results = [30, 10, 20].map((value) =>
    exampleResult({
      totalMs: value,
      pages: { ...exampleResult().pages, sent: value * 2 },
      rounds: value / 10,
    }),
  );
  const medians = mediansOf(results);
  assert.equal(medians.totalMs, 20);
  assert.equal(medians.pages.sent, 40);
  assert.equal(medians.rounds, 2);
  assert.equal(medians.moves, 3);
  assert.equal(medians.machine.processor, results[0]?.machine.processor);
  assert.ok(labResultSchema.safeParse(medians).success);
});

test("an even count gives the lower of the middle two, so that counts stay whole", () => {
  const results = [1, 2, 5, 9].map((rounds) => exampleResult({ rounds }));
  assert.equal(mediansOf(results).rounds, 2);
});

test("numbers that are missing in some moves are the medians of the others", () => {
  const results = [null, 7, 9, 11].map((pauseSeenMs) => exampleResult({ pauseSeenMs }));
  assert.equal(mediansOf(results).pauseSeenMs, 9);
  const none = [exampleResult({ pauseSeenMs: null, client: null }), exampleResult({ pauseSeenMs: null })];
  assert.equal(mediansOf(none).pauseSeenMs, null);
});

test("one failed move makes the whole failed, and does not count in the medians", () => {
  const error = { code: "GODWIT_TEST", message: "it failed" } as const;
  const failed = exampleResult({ outcome: "failed", totalMs: 9999, error });
  const medians = mediansOf([exampleResult({ totalMs: 10 }), failed, exampleResult({ totalMs: 20 })]);
  assert.equal(medians.outcome, "failed");
  assert.deepEqual(medians.error, error);
  assert.equal(medians.totalMs, 10);
});

test("one damaged guest is not hidden by whole ones", () => {
  const damaged = exampleResult({ guestVerified: false, guestDamage: "1 stale" });
  const medians = mediansOf([exampleResult(), damaged, exampleResult()]);
  assert.equal(medians.guestVerified, false);
  assert.equal(medians.guestDamage, "1 stale");
  assert.equal(mediansOf([exampleResult({ guestVerified: null })]).guestVerified, false);
});
