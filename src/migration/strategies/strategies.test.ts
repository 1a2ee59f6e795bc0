import assert from "node:assert/strict";
import { test } from "node:test";
import { strategyNames } from "../settings.ts";
import { strategies } from "./index.ts";
import { expectedDowntimeMs, type Observation } from "./strategy.ts";

const calm: Observation = {
  atMs: 0,
  firstPassDone: true,
  hasLookedAgain: true,
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
    const run = strategy.start();
    run.decide(calm);
    assert.notEqual(run.decide({ ...calm, rounds: 2 }).action, "go-on");
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
  const permitted = atEachSync([12_000, 6000, 3000, 2900, 2950, 2950]);
  assert.deepEqual(permitted, [40, 40, 40, 40, 40, 145]);
});

test("pre-copy judges no round while pages wait that the guest doesn't write to", () => {
  const run = strategies["pre-copy"].start();
  const permitted = [1025, 1025, 1025, 1025, 0, 0, 0].map((coldPages, round) => {
    const decision = run.decide({ ...calm, coldPages, unlistedPages: 3000, rounds: round + 1 });
    return decision.action === "permit" ? decision.pagesMs : decision.action;
  });
  assert.deepEqual(permitted, [40, 40, 40, 40, 40, 40, 150]);
});

test("pre-copy never permits more than the downtime limit leaves", () => {
  assert.equal(atEachSync([16_000, 16_000, 16_000, 16_000]).at(-1), 270);
  const busy = { dirtyPagesPerSecond: 16_000 };
  assert.equal(atEachSync([16_000, 16_000, 16_000, 16_000], { ...busy, backlogPages: 3000 }).at(-1), 170);
  assert.equal(atEachSync([16_000, 16_000, 16_000, 16_000], { ...busy, backlogPages: 9000 }).at(-1), "go-on");
});

/** What pre-copy does with a backlog within the limit, at these moments. */
function withBacklog(backlogPages: readonly number[], more: Partial<Observation> = {}): string[] {
  const run = strategies["pre-copy"].start();
  return backlogPages.map(
    (pages, index) => run.decide({ ...calm, atMs: index * 100, backlogPages: pages, ...more }).action,
  );
}

test("pre-copy lets what waits here drain before the guest stops, since that lengthens the pause", () => {
  assert.deepEqual(withBacklog([6000, 3000, 301, 300]), ["go-on", "go-on", "go-on", "permit"]);
});

test("pre-copy doesn't wait for a backlog that a busy guest fills again about as fast", () => {
  assert.deepEqual(withBacklog([6000], { dirtyPagesPerSecond: 14_999 }), ["go-on"]);
  assert.deepEqual(withBacklog([6000], { dirtyPagesPerSecond: 15_000 }), ["permit"]);
});

test("pre-copy waits for the backlog three downtime limits at most", () => {
  assert.deepEqual(withBacklog(Array(10).fill(3000)), [...Array(9).fill("go-on"), "permit"]);
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

/** What a strategy does at each of these moments, each but for what is said of it like a calm one. */
function actions(name: "hybrid" | "auto", moments: readonly Partial<Observation>[]): string[] {
  const run = strategies[name].start();
  return moments.map((moment, index) => run.decide({ ...calm, rounds: index + 1, ...moment }).action);
}

test("post-copy stops at once, whatever it sees", () => {
  const run = strategies["post-copy"].start();
  for (const firstPassDone of [false, true]) {
    const decision = run.decide({ ...calm, firstPassDone, backlogPages: 1e6, pagesPerSecond: 0 });
    assert.deepEqual([decision.action, decision.hurry], ["stop", false]);
  }
  const { postcopy, resumesFirst } = strategies["post-copy"];
  assert.deepEqual([postcopy, resumesFirst], [true, true]);
});

test("hybrid goes on during the first pass and while pages wait that the guest doesn't write to", () => {
  const cold = { backlogPages: 20_000, coldPages: 1025 };
  assert.deepEqual(
    actions("hybrid", [
      { ...cold, firstPassDone: false, coldPages: 0 },
      cold,
      { ...cold, dirtyPagesPerSecond: 90_000 },
      { backlogPages: 0, coldPages: 1025 },
      { hasLookedAgain: false },
      { hasLookedAgain: false, atMs: 2_000 },
    ]),
    ["go-on", "go-on", "go-on", "go-on", "go-on", "go-on"],
  );
});

test("hybrid goes on while rounds shrink well, and stops when what is left is not worth another", () => {
  const left = [12_000, 6000, 3000, 1500, 1201, 1200].map((unlistedPages) => ({ unlistedPages }));
  assert.deepEqual(actions("hybrid", left), ["go-on", "go-on", "go-on", "go-on", "go-on", "stop"]);
});

test("hybrid counts what waits here and what QEMU holds back alike", () => {
  const twice = (left: Partial<Observation>) => actions("hybrid", [left, left])[1];
  assert.equal(twice({ backlogPages: 601, unlistedPages: 600 }), "go-on");
  assert.equal(twice({ backlogPages: 600, unlistedPages: 600 }), "stop");
});

test("hybrid does not believe that little is left before QEMU has looked, but waits no longer than a second", () => {
  const little = { unlistedPages: 600, rounds: 1 };
  assert.deepEqual(actions("hybrid", [little, { ...little, atMs: 999 }, { ...little, atMs: 1_000 }]), [
    ...["go-on", "go-on", "stop"],
  ]);
  const cold = { ...little, coldPages: 1025 };
  assert.deepEqual(actions("hybrid", [cold, little, { ...little, rounds: 2 }, { ...little, rounds: 3 }]), [
    ...["go-on", "go-on", "go-on", "stop"],
  ]);
});

test("hybrid stops when rounds hardly shrink", () => {
  const left = [12_000, 9000, 6000].map((unlistedPages) => ({ unlistedPages }));
  assert.deepEqual(actions("hybrid", left), ["go-on", "go-on", "stop"]);
});

test("hybrid stops when the guest dirties as fast as pages leave for a second", () => {
  const left = { unlistedPages: 12_000, coldPages: 1024, rounds: 1 };
  const at = (atMs: number, dirtyPagesPerSecond: number) => ({ ...left, atMs, dirtyPagesPerSecond });
  assert.deepEqual(actions("hybrid", [at(0, 30_000), at(999, 30_000), at(1_000, 30_000)]), [
    ...["go-on", "go-on", "stop"],
  ]);
  assert.deepEqual(actions("hybrid", [at(0, 30_000), at(500, 29_999), at(1_000, 30_000)]), [
    ...["go-on", "go-on", "go-on"],
  ]);
});

test("hybrid judges no round while pages wait that the guest doesn't write to", () => {
  const left = { unlistedPages: 12_000 };
  assert.deepEqual(
    actions("hybrid", [{ ...left, coldPages: 1025 }, { ...left, coldPages: 1025 }, left, left]),
    [...["go-on", "go-on", "go-on", "stop"]],
  );
});

test("hybrid leaves the guest running while pages wait and none leaves, and only then", () => {
  const stuck = { pagesPerSecond: 0, dirtyPagesPerSecond: 10 };
  const twice = (moment: Partial<Observation>) => actions("hybrid", [moment, moment])[1];
  assert.equal(twice({ ...stuck, backlogPages: 1 }), "go-on");
  // A guest that zeroes pages that were never sent has QEMU list them, and nothing to send.
  assert.equal(twice({ ...stuck, unlistedPages: 500 }), "stop");
});

test("auto does what pre-copy does while rounds shrink, and when those that don't meet the limit", () => {
  for (const dirtyPages of [
    [40_000, 30_000, 20_000, 12_000, 6000, 600, 0],
    [12_000, 8000, 8000, 8000, 8000, 8000],
    [40_000, 40_000, 30_000, 30_000, 20_000, 20_000],
  ]) {
    const [own, preCopy] = [strategies.auto.start(), strategies["pre-copy"].start()];
    dirtyPages.forEach((unlistedPages, round) => {
      const observation = { ...calm, unlistedPages, rounds: round + 1, firstPassDone: round > 0 };
      assert.deepEqual(own.decide(observation), preCopy.decide(observation));
    });
  }
});

test("auto stops after two rounds in a row that didn't shrink and are above the limit, and says why", () => {
  const left = [20_000, 20_000, 19_000, 19_000].map((unlistedPages) => ({ unlistedPages }));
  assert.deepEqual(actions("auto", left), ["permit", "permit", "permit", "stop"]);
  const run = strategies.auto.start();
  const decisions = left.map((moment, index) => run.decide({ ...calm, ...moment, rounds: index + 1 }));
  assert.equal(
    decisions.at(-1)!.reason,
    "2 rounds did not shrink, the last was 633 ms of pages and the limit leaves 270 ms: the rest follows after the resume",
  );
});

test("auto bears one burst of writes, and never stops before the first pass is over", () => {
  const left = [20_000, 20_000, 5000, 3000, 20_000, 3000].map((unlistedPages) => ({ unlistedPages }));
  assert.ok(!actions("auto", left).includes("stop"));
  const early = [1, 2, 3, 4, 5].map(() => ({ unlistedPages: 20_000, firstPassDone: false }));
  assert.ok(!actions("auto", early).includes("stop"));
});

test("auto does not judge rounds that QEMU makes while pages wait that the guest doesn't write to", () => {
  const cold = [80_000, 79_000, 78_000, 77_000].map((backlogPages) => ({ backlogPages, coldPages: 76_000 }));
  const drained = [1000, 100].map((unlistedPages) => ({ unlistedPages }));
  assert.ok(!actions("auto", [...cold, ...drained]).includes("stop"));
  const hot = cold.map((moment) => ({ ...moment, coldPages: 1024 }));
  assert.equal(actions("auto", hot).at(-1), "stop");
});

test("the expected downtime counts owed pages, pages QEMU holds back and fixed costs", () => {
  const downtimeMs = expectedDowntimeMs({ ...calm, backlogPages: 1500, unlistedPages: 1500 });
  assert.equal(downtimeMs, 130);
});

test("auto gives up pre-copy within about a second when the guest dirties as fast as pages leave", () => {
  const run = strategies.auto.start();
  const outrun = { ...calm, unlistedPages: 60_000, dirtyPagesPerSecond: 28_000, rounds: 4 };
  assert.notEqual(run.decide({ ...outrun, atMs: 0 }).action, "stop");
  assert.notEqual(run.decide({ ...outrun, atMs: 900 }).action, "stop");
  assert.notEqual(run.decide({ ...outrun, atMs: 950, coldPages: 5000 }).action, "stop");
  assert.notEqual(run.decide({ ...outrun, atMs: 1000 }).action, "stop");
  const decision = run.decide({ ...outrun, atMs: 2000 });
  assert.equal(decision.action, "stop");
  assert.match(decision.reason, /dirties 28000 pages\/s, 30000 leave/);
});
