import assert from "node:assert/strict";
import { test } from "node:test";
import { Rounds } from "./rounds.ts";

/** What is known at the beginning of the round behind rounds of these sizes. */
function after(...sizes: readonly number[]) {
  const rounds = new Rounds();
  for (const [index, owedMs] of [...sizes, 0].entries()) {
    rounds.follow(index + 1, owedMs);
    rounds.follow(index + 1, owedMs / 2);
  }
  const { shrinking, slowly, lastMs } = rounds;
  return { shrinking, slowly, lastMs };
}

test("before a round is over there is hope and no size", () => {
  assert.deepEqual(after(), { shrinking: true, slowly: false, lastMs: Number.POSITIVE_INFINITY });
});

test("the first round that is over has none to be compared with", () => {
  assert.deepEqual(after(400), { shrinking: true, slowly: false, lastMs: 400 });
});

test("what is owed before the first round is not a round", () => {
  const rounds = new Rounds();
  rounds.follow(0, 5000);
  rounds.follow(1, 400);
  assert.equal(rounds.lastMs, Number.POSITIVE_INFINITY);
  rounds.follow(2, 300);
  assert.deepEqual([rounds.lastMs, rounds.shrinking], [400, true]);
});

test("a round shrinks when it is notably smaller than the one before, and slowly when not much smaller", () => {
  const kinds = [
    [400, true, false],
    [600, true, false],
    [601, true, true],
    [849, true, true],
    [850, false, true],
    [2000, false, true],
  ] as const;
  for (const [lastMs, shrinking, slowly] of kinds) {
    assert.deepEqual(after(1000, lastMs), { shrinking, slowly, lastMs });
  }
});

/** After which of these rounds they are said to have stalled; -1: after none. */
function stallsAfter(...sizes: readonly number[]): number {
  const rounds = new Rounds();
  for (const [index, owedMs] of [...sizes, 0].entries()) {
    rounds.follow(index + 1, owedMs);
    if (rounds.stalled) return index;
  }
  return -1;
}

test("two rounds in a row that don't shrink stall, and one does not", () => {
  assert.equal(stallsAfter(400, 390, 200, 190, 100), -1);
  assert.equal(stallsAfter(400, 390, 380), 3);
});

test("rounds that go up and down stall when five were not the smallest", () => {
  assert.equal(stallsAfter(100, 140, 110, 150, 120, 160, 120), 6);
});

test("a round twice as large as the one before begins anew, but not for ever", () => {
  assert.equal(stallsAfter(40, 950, 600, 400, 250, 160, 100, 60), -1);
  assert.equal(stallsAfter(...Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? 100 : 250))), 16);
});

test("what was before rounds began anew counts neither for stalling nor as what they came down to", () => {
  const rounds = new Rounds();
  for (const [index, owedMs] of [30, 30, 30, 0].entries()) rounds.follow(index + 1, owedMs);
  assert.deepEqual([rounds.stalled, rounds.recentLeastMs], [true, 30]);
  rounds.beginAnew();
  assert.deepEqual([rounds.stalled, rounds.recentLeastMs], [false, Number.POSITIVE_INFINITY]);
});

test("what rounds come down to is the smallest of the last three", () => {
  const rounds = new Rounds();
  for (const [index, owedMs] of [10, 90, 70, 80, 0].entries()) rounds.follow(index + 1, owedMs);
  assert.equal(rounds.recentLeastMs, 70);
});

test("a round is as large as the most that was owed during it", () => {
  const rounds = new Rounds();
  rounds.follow(1, 100);
  rounds.follow(1, 700);
  rounds.follow(1, 50);
  rounds.follow(2, 10);
  assert.equal(rounds.lastMs, 700);
});

test("a round amid which nothing left is no size to shrink from for good", () => {
  const rounds = new Rounds();
  for (const [index, owedMs] of [400, Number.POSITIVE_INFINITY, 400, 100, 0].entries()) {
    rounds.follow(index + 1, owedMs);
  }
  assert.deepEqual([rounds.shrinking, rounds.lastMs], [true, 100]);
});
