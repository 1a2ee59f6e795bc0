import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { z } from "zod";
import { labResultSchema } from "../src/lab/lab-result.ts";
import { appendToRunLog, pendingRuns, readRunLog } from "../src/lab/run-log.ts";

const labMain = join(import.meta.dirname, "../src/lab/main.ts");

/** One run may take this long: fill, move and check 8 GiB under emulation, all on a slow day (in 300 s one did not end). */
const RUN_TIMEOUT_MS = 900_000;

/** One measured setting: a row and a column of a table, and what the lab is told. */
export interface Cell {
  readonly name: string;
  readonly row: string;
  readonly engine: string;
  readonly options: readonly string[];
  /** Of a run of several moves the last one is kept: the guest has been asked for pages before then. */
  readonly lastMove?: boolean;
}

const lineSchema = z.object({ cell: z.string(), command: z.string(), result: labResultSchema });

/** One kept run. */
export type Line = z.infer<typeof lineSchema>;

/**
 * Runs each cell so often and keeps each result as a line of `path`, round by round over all cells, so that a machine
 * that changes its speed changes it for all. A run that is kept is not made again.
 */
export function runCells(cells: readonly Cell[], path: string, repeats: number): void {
  const keptOf = ({ name }: Cell) => readLines(path).filter((line) => line.cell === name).length;
  for (const { cell, repeat } of pendingRuns(cells, () => repeats, keptOf)) {
    process.stderr.write(`${new Date().toISOString()} repeat ${repeat}, ${cell.name} … `);
    const command = `npm run lab -- migrate ${cell.options.join(" ")} --json`;
    const run = spawnSync(process.execPath, [labMain, "migrate", ...cell.options, "--json"], {
      encoding: "utf8",
      timeout: RUN_TIMEOUT_MS,
    });
    const told = run.stdout.trim().split("\n");
    // The last line of several moves has their medians.
    const last = told.at(cell.lastMove === true && told.length > 1 ? -2 : -1) ?? "";
    if (!last.startsWith("{")) {
      process.stderr.write(`no result: ${run.stderr.trim().split("\n").at(-1)}\n`);
      continue;
    }
    const line: Line = { cell: cell.name, command, result: labResultSchema.parse(JSON.parse(last)) };
    appendToRunLog(path, line);
    const { outcome, totalMs, downtimeMs, bytesOnWire } = line.result;
    process.stderr.write(`${outcome}, ${totalMs} ms, down ${downtimeMs} ms, ${bytesOnWire} bytes\n`);
  }
}

/** Those whose name has this text in it; only the one that is called so where there is one; all without text. */
export function chosen(cells: readonly Cell[], text: string | undefined): Cell[] {
  const exact = cells.filter(({ name }) => name === text);
  return exact.length > 0 ? exact : cells.filter(({ name }) => text === undefined || name.includes(text));
}

/** The kept runs of a file; none where there is no file. */
export function readLines(path: string): Line[] {
  return readRunLog(path, lineSchema);
}

/** A number for a table; a dash where there is none. */
export function shown(value: number | null, digits: number): string {
  return value === null ? "–" : value.toFixed(digits);
}
