import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { baseGuest } from "./base-guest.ts";
import { type Cell, cellOf, runKeyOf } from "./cell.ts";
import type { KeptRun } from "./kept-run.ts";
import { formatSeconds, type GridRun, runGrid } from "./run-grid.ts";
import { exampleRun, failedRun } from "./testing/example-runs.ts";

const VERSION = "example 1";
const cells = [cellOf("qemu", baseGuest.quick), cellOf("pre-copy", baseGuest.quick)];

/** A grid whose runs are made up, and what was made and said. */
function exampleGrid(context: TestContext, changes: Partial<GridRun> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "run-grid-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const made: string[] = [];
  const said: string[] = [];
  const grid: GridRun = {
    cells,
    path: join(folder, "results.jsonl"),
    repeats: 2,
    withinSeconds: 1e6,
    signal: new AbortController().signal,
    say: (text) => said.push(text),
    versionOf: () => VERSION,
    makeRun: async (cell, repeat) => {
      made.push(`${cell.contender} ${repeat}`);
      return exampleRun(cell, repeat);
    },
    ...changes,
  };
  return { grid, made, said };
}

test("runs are made round by round, and a finished one never again", async (context) => {
  const { grid, made } = exampleGrid(context);
  assert.deepEqual(await runGrid(grid), { made: 4, left: 0 });
  assert.deepEqual(made, ["qemu 1", "pre-copy 1", "qemu 2", "pre-copy 2"]);
  assert.deepEqual(await runGrid(grid), { made: 0, left: 0 });
  assert.equal(made.length, 4);
  assert.equal(readFileSync(grid.path, "utf8").trim().split("\n").length, 4);
});

test("a cell whose settings change runs alone again, and so does one whose engine has a new version", async (context) => {
  const { grid, made } = exampleGrid(context);
  await runGrid(grid);
  const [qemu, ours] = cells as [Cell, Cell];
  made.length = 0;
  await runGrid({ ...grid, cells: [qemu, { ...ours, settings: { ...ours.settings, hold: "40%" } }] });
  assert.deepEqual(made, ["pre-copy 1", "pre-copy 2"]);
  made.length = 0;
  const versionOf = (cell: Cell) => (cell.contender === "qemu" ? "example 2" : VERSION);
  const makeRun = async (cell: Cell, repeat: number): Promise<KeptRun> => {
    made.push(`${cell.contender} ${repeat}`);
    return { ...exampleRun(cell, repeat), key: runKeyOf(cell, versionOf(cell)) };
  };
  await runGrid({ ...grid, versionOf, makeRun });
  assert.deepEqual(made, ["qemu 1", "qemu 2"]);
});

test("what is interrupted goes on where it was", async (context) => {
  const controller = new AbortController();
  const { grid, made } = exampleGrid(context, { signal: controller.signal });
  const interrupted = runGrid({
    ...grid,
    makeRun: async (cell, repeat) => {
      if (made.length === 2) controller.abort(new Error("ended by SIGINT"));
      controller.signal.throwIfAborted();
      return grid.makeRun(cell, repeat);
    },
  });
  await assert.rejects(interrupted, /SIGINT/);
  await runGrid({ ...grid, signal: new AbortController().signal });
  assert.deepEqual(made, ["qemu 1", "pre-copy 1", "qemu 2", "pre-copy 2"]);
});

test("a move that failed is a result; a run in which the lab failed is made again", async (context) => {
  const { grid } = exampleGrid(context);
  const made: string[] = [];
  const makeRun = async (cell: Cell, repeat: number): Promise<KeptRun> => {
    made.push(cell.contender);
    if (cell.contender === "qemu") return failedRun(cell, repeat);
    return exampleRun(cell, repeat, { result: null, error: "the guest did not come up" });
  };
  await runGrid({ ...grid, repeats: 1, makeRun });
  await runGrid({ ...grid, repeats: 1, makeRun });
  assert.deepEqual(made, ["qemu", "pre-copy", "pre-copy"]);
});

test("no run begins that would end too late, and what is left is told", async (context) => {
  let seconds = 0;
  const { grid, made, said } = exampleGrid(context, { now: () => seconds });
  const makeRun: GridRun["makeRun"] = async (cell, repeat) => {
    seconds += 50;
    return { ...(await grid.makeRun(cell, repeat)), tookMs: 50_000 };
  };
  assert.deepEqual(await runGrid({ ...grid, withinSeconds: 120, makeRun }), { made: 2, left: 2 });
  assert.equal(made.length, 2);
  assert.match(said.at(-1)!, /the time is up: 2 runs are left/);
});

test("the time left is told before every run, in a form that people read", async (context) => {
  const { grid, said } = exampleGrid(context);
  await runGrid(grid);
  assert.equal(said.filter((text) => /^run \d of 4, about \d+:\d\d min left: /.test(text)).length, 4);
  assert.equal(formatSeconds(59.6), "1:00 min");
  assert.equal(formatSeconds(3 * 3600 + 61), "3:01:01 h");
});
