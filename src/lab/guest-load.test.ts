import assert from "node:assert/strict";
import { test } from "node:test";
import type { Verdict } from "./guest-answers.ts";
import { damageOf, patienceMs } from "./guest-load.ts";

const whole: Verdict = {
  ...{ pages: 100, torn: 0, stale: 0, lost: 0, tracker: 0, churn: 0, bad: 0 },
  ...{ generation: 3, updates: 300, tookMs: 1, first: [] },
};

test("a whole guest has no damage", () => {
  assert.equal(damageOf(whole), null);
});

test("damage is told by kind, with the pages that were found first", () => {
  const first = [{ page: 7, kind: "stale" as const, expected: 3, found: 2, frame: 4711 }];
  const text = damageOf({ ...whole, stale: 1, tracker: 2, bad: 3, first });
  assert.match(
    text ?? "",
    /0 torn, 1 stale, 0 lost of 100 pages, 2 contradictions .*stale page 7 \(frame 4711\)/,
  );
});

test("patience grows with the memory and is a whole number, as timers need it", () => {
  for (const bytes of [0, 1, 53_686_272, 1024 ** 3, 1e11]) assert.ok(Number.isInteger(patienceMs(bytes)));
  assert.ok(patienceMs(8 * 1024 ** 3) > patienceMs(1024 ** 3));
});
