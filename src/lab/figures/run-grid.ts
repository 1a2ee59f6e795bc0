import { appendToRunLog, pendingRuns, readRunLog } from "../run-log.ts";
import { type Cell, distinctCells, engineVersionOf, runKeyOf } from "./cell.ts";
import { contenders } from "./contenders.ts";
import { expectedSeconds, type Timed } from "./expected-seconds.ts";
import { failureOf, isFinished, type KeptRun, keptRunSchema } from "./kept-run.ts";

/** What is to be run, and how it is followed. */
export interface GridRun {
  readonly cells: readonly Cell[];
  /** Where runs are kept, and where those that are not made again are found. */
  readonly path: string;
  /** Runs of each cell that does not name a number. */
  readonly repeats: number;
  /** No run begins that would likely end later than this many seconds after the start. */
  readonly withinSeconds: number;
  readonly signal: AbortSignal;
  say(text: string): void;
  makeRun(cell: Cell, repeat: number): Promise<KeptRun>;
  /** The version that a cell's runs are valid for. */
  versionOf?(cell: Cell): string;
  /** Seconds of any clock. */
  now?(): number;
}

/** What came of it. */
export interface GridOutcome {
  readonly made: number;
  /** Runs that there was no time for. */
  readonly left: number;
}

/**
 * Makes the runs of a grid that are not kept yet, each kept as soon as it is there. Ends early when the signal is
 * aborted (by an exception) or when the time is up; the next call goes on where this one ended.
 */
export async function runGrid(grid: GridRun): Promise<GridOutcome> {
  const { path, signal, say, withinSeconds } = grid;
  const { versionOf = engineVersionOf, now = () => performance.now() / 1000 } = grid;
  const cells = distinctCells(grid.cells).map((cell) => ({ cell, key: runKeyOf(cell, versionOf(cell)) }));
  const byKey = new Map(cells.map(({ cell, key }) => [key, cell]));
  const finished = new Map<string, number>();
  const timed: Timed[] = [];
  const note = (run: KeptRun) => {
    const cell = byKey.get(run.key);
    if (cell === undefined || !isFinished(run)) return;
    finished.set(run.key, (finished.get(run.key) ?? 0) + 1);
    timed.push({ cell, tookMs: run.tookMs });
  };
  readRunLog(path, keptRunSchema).forEach(note);
  const repeatsOf = ({ cell }: { cell: Cell }) => cell.repeats ?? grid.repeats;
  const keptOf = ({ key }: { key: string }) => finished.get(key) ?? 0;
  const all = [...pendingRuns(cells, repeatsOf, keptOf)];
  const total = cells.reduce((sum, one) => sum + repeatsOf(one), 0);
  const begin = now();
  if (all.length < total) say(`${total - all.length} of ${total} runs are kept from before`);
  for (const [at, { cell, repeat }] of all.entries()) {
    signal.throwIfAborted();
    const rest = all.slice(at).map((pending) => pending.cell.cell);
    const elapsed = now() - begin;
    if (elapsed + expectedSeconds([cell.cell], timed) > withinSeconds) {
      say(`the time is up: ${all.length - at} runs are left; the same command goes on with them`);
      return { made: at, left: all.length - at };
    }
    const left = formatSeconds(expectedSeconds(rest, timed));
    say(`run ${total - all.length + at + 1} of ${total}, about ${left} left: ${describeCell(cell.cell)}`);
    const run = await grid.makeRun(cell.cell, repeat);
    appendToRunLog(path, run);
    note(run);
    say(`  ${describeRun(run)}`);
  }
  return { made: all.length, left: 0 };
}

/** `2:05` of minutes, or hours before that. */
export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number: number) => String(number).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)} h` : `${minutes}:${two(rest)} min`;
}

function describeCell({ contender, settings }: Cell): string {
  const { memory, hold, content, dirty = "0", hot, link, latency } = settings;
  const load = dirty === "0" ? "quiet" : `dirties ${dirty} over ${hot}`;
  const words = [`${memory}, holds ${hold} of ${content}, ${load}`, `${link}`];
  if (latency !== undefined && latency !== "0ms") words.push(`${latency} of delay`);
  return `${contenders[contender].label}: ${words.join(", ")}`;
}

function describeRun(run: KeptRun): string {
  const failure = failureOf(run);
  if (failure !== null) return failure.split("\n")[0]!;
  const { totalMs, downtimeMs, bytesOnWire } = run.result!;
  const seconds = ((totalMs ?? Number.NaN) / 1000).toFixed(1);
  return `${seconds} s, down ${Math.round(downtimeMs ?? Number.NaN)} ms, ${Math.round(bytesOnWire / 1e6)} MB`;
}
