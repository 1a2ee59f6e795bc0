import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { allFigures } from "./all-figures.ts";
import { type Cell, distinctCells } from "./cell.ts";
import { drawSvg } from "./draw-svg.ts";
import { expectedSeconds, modelSeconds } from "./expected-seconds.ts";
import { type Grid, gridNames } from "./figure.ts";
import type { KeptRun } from "./kept-run.ts";
import { Results } from "./results.ts";
import { exampleRun, failedRun } from "./testing/example-runs.ts";
import { cellsOf, writeReport } from "./write-report.ts";

function exampleRuns(grid: Grid, makeRun: (cell: Cell, repeat: number) => KeptRun = exampleRun): KeptRun[] {
  return distinctCells(cellsOf(allFigures, true, grid)).flatMap((cell) =>
    [1, 2, 3].slice(0, cell.repeats ?? 3).map((repeat) => makeRun(cell, repeat)),
  );
}

async function written(context: TestContext, grid: Grid, runs: readonly KeptRun[]) {
  const folder = mkdtempSync(join(tmpdir(), "report-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const options = { grid, results: new Results(runs), figures: allFigures, withJudge: true, folder };
  await writeReport({ ...options, command: "npm run lab -- figures <x>" });
  const files = readdirSync(folder);
  const textOf = (name: string) => readFileSync(join(folder, name), "utf8");
  return { files, textOf, html: textOf("report.html") };
}

for (const grid of gridNames) {
  test(`every figure of the ${grid} grid is drawn from fixed results, and each has its cells`, async (context) => {
    const { files, textOf, html } = await written(context, grid, exampleRuns(grid));
    for (const { number, name, title, cells } of allFigures) {
      if (number !== 8) assert.ok(cells(grid).length > 0, `${name} has no cells`);
      const own = files.filter((file) => file.startsWith(name) && file.endsWith(".svg"));
      assert.ok(own.length > 0, `${name} was not drawn`);
      for (const file of own) assert.match(textOf(file), /^<svg [\s\S]*<path [\s\S]*<\/svg>\n$/);
      assert.ok(html.includes(`${number}. ${title}`));
    }
    assert.ok(!html.includes("NaN") && !html.includes("undefined"));
  });
}

test("the same results give the same picture", async () => {
  const results = new Results(exampleRuns("quick"));
  const { charts } = allFigures[0]!.draw("quick", results);
  assert.equal(await drawSvg(charts[""]!), await drawSvg(charts[""]!));
});

test("the report needs nothing from outside, and markup in what it tells stays text", async (context) => {
  const { html } = await written(context, "quick", exampleRuns("quick"));
  assert.doesNotMatch(html, /https?:\/\//);
  assert.doesNotMatch(html, /<script|<link|<iframe|@import|url\(/i);
  for (const [, source] of html.matchAll(/src="([^"]*)"/g))
    assert.match(source!, /^data:image\/svg\+xml;base64,/);
  assert.ok(html.includes("figures &lt;x&gt;"));
});

test("the report says machine, versions, repeats, settings and the command of each cell", async (context) => {
  const { html } = await written(context, "full", exampleRuns("full"));
  for (const words of ["2 cores", "Node v24.0.0", "QEMU 10.0.2", "1 to 3 of each of", "512MiB, holds 50%"]) {
    assert.ok(html.includes(words), `the report does not say "${words}"`);
  }
  assert.ok(html.includes("npm run lab -- migrate"));
});

test("failed runs are shown in figure, table and list, and move no median", async (context) => {
  const fails = ({ contender, settings }: Cell, repeat: number) =>
    contender === "qemu" && settings.dirty === "200MB/s" && repeat === 2;
  const makeRun = (cell: Cell, repeat: number) =>
    fails(cell, repeat) ? failedRun(cell, repeat) : exampleRun(cell, repeat);
  const { html, textOf } = await written(context, "full", exampleRuns("full", makeRun));
  assert.ok(textOf("figure-07-dirty-rate.svg").includes("✕ 1 of 3"));
  assert.ok(html.includes("1 failed"));
  assert.ok(html.includes("was not done after 60000 ms"));
  const without = await written(
    context,
    "full",
    exampleRuns("full").filter(({ command, repeat, contender }) => {
      return !(contender === "qemu" && command.includes("--dirty 200MB/s") && repeat === 2);
    }),
  );
  const row = (text: string) =>
    /<th scope="row">stock pre-copy<\/th>[\s\S]*?<\/tr>/.exec(text.split("7. Dirty rate")[1]!);
  const last = (text: string) =>
    row(text)![0]
      .match(/<td>.*?<\/td>/g)!
      .at(-1)!
      .replace(/<[^>]+>|, 1 failed/g, "");
  assert.equal(last(html), last(without.html));
});

test("without results every figure says so, and nothing is drawn but the benchmarks' own", async (context) => {
  const { files, html } = await written(context, "full", []);
  assert.deepEqual(
    files.filter((file) => !file.startsWith("figure-08")),
    ["report.html"],
  );
  assert.equal(html.split("Not measured").length - 1, allFigures.length - 1);
});

test("the grids fit their promises as far as the model knows", () => {
  const minutes = (grid: Grid, repeats: number) => {
    const cells = distinctCells(cellsOf(allFigures, true, grid));
    return cells.reduce((sum, cell) => sum + modelSeconds(cell) * (cell.repeats ?? repeats), 0) / 60;
  };
  assert.ok(minutes("quick", 1) < 10);
  assert.ok(minutes("full", 3) < 120);
});

test("the time left follows how long runs really took", () => {
  const [cell] = cellsOf(allFigures, true, "quick");
  const model = modelSeconds(cell!);
  assert.equal(expectedSeconds([cell!, cell!], []), 2 * model);
  const timed = [1, 2, 90].map((factor) => ({ cell: cell!, tookMs: model * 1000 * factor }));
  assert.equal(expectedSeconds([cell!], timed), 2 * model);
});
