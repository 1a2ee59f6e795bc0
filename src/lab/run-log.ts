import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync } from "node:fs";
import { dirname } from "node:path";
import type { z } from "zod";

/**
 * The kept runs of a file of JSON lines; none where there is no file. A last line without its line break belongs to a
 * program that was killed while it wrote, and is no run.
 * @throws when a whole line is not what the schema says
 */
export function readRunLog<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema>[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .filter((line) => line !== "")
    .map((line) => schema.parse(JSON.parse(line)));
}

/** Keeps a run as a line of its own, in the place of a line that was broken off. */
export function appendToRunLog(path: string, line: unknown): void {
  mkdirSync(dirname(path), { recursive: true });
  if (existsSync(path)) {
    const bytes = readFileSync(path);
    const whole = bytes.lastIndexOf("\n") + 1;
    if (whole < bytes.length) truncateSync(path, whole);
  }
  appendFileSync(path, `${JSON.stringify(line)}\n`);
}

/**
 * The runs that are still to be made, round by round over all cells, so that a machine that changes its speed changes
 * it for all. `keptOf` is asked when a run's turn comes.
 */
export function* pendingRuns<Cell>(
  cells: readonly Cell[],
  repeatsOf: (cell: Cell) => number,
  keptOf: (cell: Cell) => number,
): Generator<{ readonly cell: Cell; readonly repeat: number }> {
  const rounds = Math.max(0, ...cells.map(repeatsOf));
  for (let repeat = 1; repeat <= rounds; repeat += 1) {
    for (const cell of cells) {
      if (repeat <= repeatsOf(cell) && keptOf(cell) < repeat) yield { cell, repeat };
    }
  }
}
