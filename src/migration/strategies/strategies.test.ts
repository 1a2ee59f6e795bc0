import assert from "node:assert/strict";
import { test } from "node:test";
import { strategyNames } from "../settings.ts";
import { strategies } from "./index.ts";
import { expectedDowntimeMs, type Observation } from "./strategy.ts";

const calm: Observation = {
  atMs: 0,
  firstPassDone: true,
  backlogPages: 0,
  coldPages: 0,
  dirtyPagesPerSecond: 0,
  unlistedPages: 0,
  rounds: 1,
  pagesPerSecond: 30_000,
  fixedDowntimeMs: 30,
  downtimeLimitMs: 300,
};

for (const name of strategyNames) {
  test(`${name} is registered under its own name and lets a guest stop or stops it when nothing is owed`, () => {
    const strategy = strategies[name];
    assert.equal(strategy.name, name);
    assert.notEqual(strategy.start().decide(calm).action, "go-on");
  });

  test(`${name} gives a reason with every decision`, () => {
    const run = strategies[name].start();
    for (const firstPassDone of [false, true]) {
      assert.ok(run.decide({ ...calm, firstPassDone, backlogPages: 5000 }).reason.length > 0);
    }
  });
}

/** What pre-copy says when each round begins with so many pages: the milliseconds of pages it permits. */
function atEachSync(dirtyPages: readonly number[], more: Partial<Observation> = {}): (number | string)[] {
  const run = strategies["pre-copy"].start();
  return dirtyPages.map((unlistedPages, round) => {
    const decision = run.decide({ ...calm, ...more, unlistedPages, rounds: round + 1 });
    return decision.action === "permit" ? decision.pagesMs : decision.action;
  });
}

test("pre-copy waits for the first pass", () => {
  assert.deepEqual(atEachSync([0], { firstPassDone: false }), ["go-on"]);
});

test("pre-copy asks for a negligible rest while rounds shrink although the limit is met already", () => {
  assert.deepEqual(atEachSync([12_000, 6000, 3000, 1500, 600]), [40, 40, 40, 40, 40]);
});

test("pre-copy is content with what rounds come down to when they stop shrinking", () => {
  const permitted = atEachSync([12_000, 6000, 3000, 2900, 2950]);
  assert.deepEqual(permitted, [40, 40, 40, 40, 145]);
});

test("pre-copy never permits more than the downtime limit leaves", () => {
  assert.equal(atEachSync([16_000, 16_000, 16_000, 16_000]).at(-1), 270);
  assert.equal(atEachSync([16_000, 16_000, 16_000, 16_000], { backlogPages: 3000 }).at(-1), 170);
  assert.equal(atEachSync([16_000, 16_000, 16_000, 16_000], { backlogPages: 9000 }).at(-1), "go-on");
});

test("pre-copy hurries when rounds don't shrink, and only then", () => {
  const run = strategies["pre-copy"].start();
  const hurries = [12_000, 6000, 3000, 2900, 2900, 1400, 700].map(
    (unlistedPages, round) => run.decide({ ...calm, unlistedPages, rounds: round + 1 }).hurry,
  );
  assert.deepEqual(hurries, [false, false, false, false, true, true, false]);
});

test("pre-copy permits nothing while no rate is known", () => {
  assert.deepEqual(atEachSync([100, 100], { pagesPerSecond: 0, backlogPages: 100 }), ["go-on", "go-on"]);
});

test("the expected downtime counts owed pages, pages QEMU holds back and fixed costs", () => {
  const downtimeMs = expectedDowntimeMs({ ...calm, backlogPages: 1500, unlistedPages: 1500 });
  assert.equal(downtimeMs, 130);
});
