import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { GodwitError } from "../../base/errors.ts";
import { migrationEventSchema } from "../../migration/events.ts";
import { interruption } from "../interruption.ts";
import { ProgressLine } from "../progress-line.ts";
import { allFigures } from "./all-figures.ts";
import { distinctCells } from "./cell.ts";
import { drawSvg } from "./draw-svg.ts";
import type { Figure, Grid } from "./figure.ts";
import { lastMigration } from "./last-migration.ts";
import { Results } from "./results.ts";
import { runCell } from "./run-cell.ts";
import { runGrid } from "./run-grid.ts";
import { timelineChart, timelineOf } from "./timeline.ts";
import { cellsOf, writeReport } from "./write-report.ts";

/** Medians of three say more than one run, and five would take all night. */
const REPEATS: Readonly<Record<Grid, number>> = { quick: 1, full: 3 };

/** The bound that each grid promises. */
const MINUTES: Readonly<Record<Grid, number>> = { quick: 10, full: 120 };

/** The options as they stand on the command line. */
export interface FiguresOptions {
  readonly quick?: boolean;
  readonly only?: string;
  readonly from?: string;
  readonly events?: string;
  readonly repeat?: string;
  readonly minutes?: string;
  readonly out: string;
}

/**
 * `npm run lab -- figures`: makes what runs are missing, then draws. Resolves with the exit code: 0 also when moves
 * failed, for that is a result; 130 after Ctrl-C.
 * @throws GodwitError `GODWIT_LAB_OPTION`
 */
export async function figuresCommand(options: FiguresOptions): Promise<number> {
  if (options.events !== undefined) return drawTimeline(options.events, options.out);
  const { figures, withJudge } = chosen(options.only);
  if (options.from !== undefined) {
    if (!existsSync(options.from)) throw badOption(`--from: there is no ${options.from}`);
    const results = Results.read(options.from);
    const grid = options.quick === true ? "quick" : fullerGrid(results, figures, withJudge);
    return draw({ ...options, grid, results, figures, withJudge });
  }
  const grid = options.quick === true ? "quick" : "full";
  const path = join(options.out, "results.jsonl");
  const code = await run({ ...options, grid, path, figures, withJudge });
  if (code !== 0) return code;
  return draw({ ...options, grid, results: Results.read(path), figures, withJudge });
}

interface Chosen {
  readonly figures: readonly Figure[];
  readonly withJudge: boolean;
}

function chosen(only: string | undefined): Chosen {
  if (only === undefined) return { figures: allFigures, withJudge: true };
  const words = only.split(",");
  const numbers = words.filter((word) => word !== "judge").map(Number);
  const unknown = numbers.find((number) => !allFigures.some((figure) => figure.number === number));
  if (unknown !== undefined) {
    throw badOption(`--only: there are figures 1 to ${allFigures.length} and judge, not "${only}"`);
  }
  return {
    figures: allFigures.filter(({ number }) => numbers.includes(number)),
    withJudge: words.includes("judge"),
  };
}

/** The grid of which more cells are there. */
function fullerGrid(results: Results, figures: readonly Figure[], withJudge: boolean): Grid {
  const count = (grid: Grid) =>
    distinctCells(cellsOf(figures, withJudge, grid)).filter((cell) => results.of(cell).length > 0).length;
  return count("quick") > count("full") ? "quick" : "full";
}

async function run(
  options: FiguresOptions & Chosen & { readonly grid: Grid; readonly path: string },
): Promise<number> {
  const { grid, path, figures, withJudge } = options;
  using interrupted = interruption();
  const line = new ProgressLine(process.stderr);
  const { signal } = interrupted;
  try {
    await runGrid({
      cells: cellsOf(figures, withJudge, grid),
      path,
      repeats: numberOf("--repeat", options.repeat, REPEATS[grid]),
      withinSeconds: numberOf("--minutes", options.minutes, MINUTES[grid]) * 60,
      signal,
      say: (text) => line.say(text),
      makeRun: async (cell, repeat) => {
        const made = await runCell(cell, repeat, { signal, onEvent: (event) => line.show(event) });
        line.clear();
        return made;
      },
    });
    return 0;
  } catch (error) {
    line.clear();
    const code = interrupted.exitCode();
    if (code === null) throw error;
    line.say(`what is finished is kept in ${path}; the same command goes on`);
    return code;
  }
}

async function draw(
  options: FiguresOptions & Chosen & { readonly grid: Grid; readonly results: Results },
): Promise<number> {
  const { grid, results, figures, withJudge } = options;
  const words = process.argv.slice(2).join(" ");
  const command = `npm run lab -- ${words}`;
  const paths = await writeReport({ grid, results, figures, withJudge, folder: options.out, command });
  for (const path of paths) process.stdout.write(`${path}\n`);
  return 0;
}

async function drawTimeline(path: string, folder: string): Promise<number> {
  if (!existsSync(path)) throw badOption(`--events: there is no ${path}`);
  const events = readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    // A reader must bear events that it does not know.
    .flatMap((line) => migrationEventSchema.safeParse(JSON.parse(line)).data ?? []);
  const own = lastMigration(events);
  if (own.length === 0) throw badOption(`--events: ${path} has no events of a migration`);
  const name = basename(path).replace(/\.jsonl$/, "");
  mkdirSync(folder, { recursive: true });
  const drawn = join(folder, `figure-10-timeline-${name}.svg`);
  writeFileSync(drawn, await drawSvg(timelineChart(name, timelineOf(own))));
  process.stdout.write(`${drawn}\n`);
  return 0;
}

function numberOf(option: string, text: string | undefined, fallback: number): number {
  const number = text === undefined ? fallback : Number(text);
  if (number >= 1 && number <= 10_000) return number;
  throw badOption(`${option}: not a number from 1 to 10000`);
}

function badOption(what: string): GodwitError {
  return new GodwitError("GODWIT_LAB_OPTION", what, {
    side: "local",
    advice: "see npm run lab -- figures --help",
  });
}
