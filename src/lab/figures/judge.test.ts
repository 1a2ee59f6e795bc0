import assert from "node:assert/strict";
import { test } from "node:test";
import { baseGuest } from "./base-guest.ts";
import { cellOf } from "./cell.ts";
import { crossovers, crossoverTable } from "./crossover.ts";
import { bandwidthSweep } from "./figure-01-bandwidth.ts";
import { judge, judgeCells, judgeTable, judgeText } from "./judge.ts";
import type { KeptRun } from "./kept-run.ts";
import { Results } from "./results.ts";
import { measured, sweepCells } from "./sweep.ts";
import { exampleRun, failedRun } from "./testing/example-runs.ts";

/** Every cell's run takes what a function says. */
function resultsTaking(grid: "quick" | "full", seconds: (contender: string) => number): Results {
  const runs = judgeCells(grid).map((cell): KeptRun => {
    const run = exampleRun(cell);
    return { ...run, result: { ...run.result!, totalMs: seconds(cell.contender) * 1000 } };
  });
  return new Results(runs);
}

test("the best of ours is held against the best stock setting, whichever they are", () => {
  const results = resultsTaking("full", (id) => ({ "qemu-xbzrle": 4, hybrid: 2 })[id] ?? 9);
  const [first] = judge("full", results);
  assert.equal(first?.best?.contender, "qemu-xbzrle");
  assert.equal(first?.ours?.contender, "hybrid");
  assert.equal(first?.share, 0.5);
  assert.match(judgeText([first])[0]!, /ratio 0\.50: met/);
  const head = judgeTable([first]).rows[0]!;
  assert.ok(head.includes("stock free-page hint") && head.includes("stock auto-converge"));
});

test("a miss is told with what the time went into", () => {
  const judged = judge(
    "quick",
    resultsTaking("quick", (id) => (id.startsWith("qemu") ? 3 : 6)),
  );
  assert.equal(judged[0]?.share, 2);
  assert.match(judgeText(judged)[0]!, /missed \(wanted ≤ 0\.5\).*before the first page.*processor time/);
  assert.deepEqual(judgeTable(judged).rows[1]?.slice(-3), ["2.00", "≤ 0.5", "MISSED"]);
});

test("a failed run is nobody's time, and what was not measured is said", () => {
  const failed = new Results(judgeCells("quick").map((cell) => failedRun(cell)));
  assert.equal(judge("quick", failed)[0]?.share, null);
  assert.match(judgeText(judge("quick", new Results([])))[0]!, /not measured/);
});

test("a guest that arrived damaged has no time, however short it took", () => {
  const runs = judgeCells("quick").map((cell): KeptRun => {
    const run = exampleRun(cell);
    const damaged = cell.contender === "hybrid" || cell.contender === "qemu-zstd";
    return damaged ? { ...run, result: { ...run.result!, totalMs: 1, guestVerified: false } } : run;
  });
  const [judged] = judge("quick", new Results(runs));
  assert.ok(judged!.best!.contender !== "qemu-zstd" && judged!.ours!.contender !== "hybrid");
});

test("the crossover lies where the totals over bandwidth are equal", () => {
  // At 10 Gbit/s a tenth of the bytes and a fixed cost lose, at 200 Mbit/s they win.
  const results = new Results(sweepCells(bandwidthSweep, "full").map((cell) => exampleRun(cell)));
  const all = measured(bandwidthSweep, "full", results);
  const found = crossovers(all, "pre-copy");
  assert.deepEqual(
    found.map(({ rival }) => rival),
    ["qemu", "qemu-multifd", "qemu-zstd"],
  );
  for (const { atMegabits, aheadBelow } of found) {
    assert.ok(aheadBelow && atMegabits !== null && atMegabits > 200 && atMegabits < 10_000);
  }
  const [, row] = crossoverTable(all).rows;
  assert.match(row!.join(" "), /^Godwit pre-copy it overtakes us at [\d.]+ [MG]bit\/s /);
  assert.deepEqual(crossovers([], "pre-copy"), []);
  // At one bandwidth nobody overtakes anybody.
  const one = crossovers(
    all.filter(({ x }) => x === 1000),
    "pre-copy",
  );
  assert.deepEqual(one, []);
});

test("of a cell that was run with two versions only the newest version's runs count", () => {
  const cell = cellOf("qemu", baseGuest.quick);
  const old = exampleRun(cell, 1, { key: "old" });
  const results = new Results([old, exampleRun(cell, 1), exampleRun(cell, 2)]);
  assert.deepEqual(
    results.of(cell).map(({ repeat }) => repeat),
    [1, 2],
  );
});
