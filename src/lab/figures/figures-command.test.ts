import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { appendToRunLog } from "../run-log.ts";
import { dirtyRateFigure } from "./figure-07-dirty-rate.ts";
import { clientFigure } from "./figure-09-client.ts";
import { exampleRun } from "./testing/example-runs.ts";

const main = join(import.meta.dirname, "../main.ts");

function figures(...parameters: string[]) {
  return spawnSync(process.execPath, [main, "figures", ...parameters], { encoding: "utf8" });
}

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "figures-"));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("--from draws one figure of the grid that is there, and runs nothing", (context) => {
  const folder = temporaryFolder(context);
  const results = join(folder, "kept.jsonl");
  for (const cell of dirtyRateFigure.cells("quick")) appendToRunLog(results, exampleRun(cell));
  const before = readFileSync(results, "utf8");
  const out = join(folder, "out");
  const { status, stdout, stderr } = figures("--from", results, "--only", "7", "--out", out);
  assert.equal(status, 0, stderr);
  assert.deepEqual(readdirSync(out).sort(), ["figure-07-dirty-rate.svg", "report.html"]);
  assert.ok(stdout.includes(join(out, "report.html")));
  assert.match(readFileSync(join(out, "report.html"), "utf8"), /quick; made by npm run lab/);
  assert.equal(readFileSync(results, "utf8"), before);
});

test("--events draws the timeline of a migration's own log", (context) => {
  const folder = temporaryFolder(context);
  const path = join(folder, "mine.jsonl");
  const { events } = exampleRun(clientFigure.cells("full")[0]!);
  for (const event of events!) appendToRunLog(path, event);
  // Of a later version.
  appendToRunLog(path, { type: "unheard-of", atMs: 1 });
  const { status, stderr } = figures("--events", path, "--out", folder);
  assert.equal(status, 0, stderr);
  assert.match(readFileSync(join(folder, "figure-10-timeline-mine.svg"), "utf8"), /on the wire/);
});

test("nonsense is refused before anything runs, and the message names the option", () => {
  for (const [option, value] of [
    ["--only", "11"],
    ["--only", "x"],
    ["--from", "/nowhere.jsonl"],
    ["--events", "/nowhere.jsonl"],
    ["--repeat", "0"],
  ]) {
    const { status, stderr } = figures(option!, value!, "--out", "/nowhere");
    assert.equal(status, 1);
    assert.ok(stderr.startsWith(`${option}: `), stderr);
  }
});
