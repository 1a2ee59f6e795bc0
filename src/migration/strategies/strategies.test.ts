import assert from "node:assert/strict";
import { test } from "node:test";
import { strategyNames } from "../settings.ts";
import { strategies } from "./index.ts";
import { expectedDowntimeMs, type Observation } from "./strategy.ts";

const calm: Observation = {
  atMs: 0,
  firstPassDone: true,
  backlogPages: 0,
  unlistedPages: 0,
  rounds: 1,
  pagesPerSecond: 30_000,
  fixedDowntimeMs: 30,
  downtimeLimitMs: 300,
};

for (const name of strategyNames) {
  test(`${name} is registered under its own name and stops a guest that owes nothing`, () => {
    const strategy = strategies[name];
    assert.equal(strategy.name, name);
    assert.equal(strategy.start().decide(calm).action, "stop");
  });

  test(`${name} gives a reason with every decision`, () => {
    const run = strategies[name].start();
    for (const firstPassDone of [false, true]) {
      assert.ok(run.decide({ ...calm, firstPassDone, backlogPages: 5000 }).reason.length > 0);
    }
  });
}

/** What pre-copy decides at each sync of a trace of dirty pages. */
function atEachSync(dirtyPages: readonly number[], more: Partial<Observation> = {}): string[] {
  const run = strategies["pre-copy"].start();
  return dirtyPages.map(
    (backlogPages, round) => run.decide({ ...calm, ...more, backlogPages, rounds: round + 1 }).action,
  );
}

test("pre-copy waits for the first pass", () => {
  assert.deepEqual(atEachSync([0], { firstPassDone: false }), ["go-on"]);
});

test("pre-copy goes on while rounds shrink although the limit is met already", () => {
  assert.deepEqual(atEachSync([8000, 4000, 2000, 1000, 200]), ["go-on", "go-on", "go-on", "go-on", "stop"]);
});

test("pre-copy stops under the limit when rounds stop shrinking", () => {
  assert.deepEqual(atEachSync([8000, 4000, 3900]), ["go-on", "go-on", "stop"]);
});

test("pre-copy never stops above the downtime limit", () => {
  assert.deepEqual(atEachSync([16_000, 16_000, 16_000, 16_000]), ["go-on", "go-on", "go-on", "go-on"]);
});

test("pre-copy does not stop while no rate is known", () => {
  assert.deepEqual(atEachSync([100, 100], { pagesPerSecond: 0 }), ["go-on", "go-on"]);
});

test("the expected downtime counts owed pages, pages QEMU holds back and fixed costs", () => {
  const downtimeMs = expectedDowntimeMs({ ...calm, backlogPages: 1500, unlistedPages: 1500 });
  assert.equal(downtimeMs, 130);
});
