import type { LabResult } from "../lab-result.ts";
import type { LabSettingsText } from "../lab-settings.ts";
import { type Cell, cellOf } from "./cell.ts";
import { type ContenderId, contenders } from "./contenders.ts";
import type { Grid, Table } from "./figure.ts";
import { hasArrived, type KeptRun } from "./kept-run.ts";
import type { Results } from "./results.ts";
import { type Spread, spreadOf } from "./statistics.ts";

/** One value of what is varied. */
export interface SweepPoint {
  readonly x: number;
  readonly settings: LabSettingsText;
  /** Only these contenders, where the point is too dear for all. */
  readonly contenders?: readonly ContenderId[];
  readonly repeats?: number;
}

/** What a panel of the figure shows of a run. */
export interface Metric {
  readonly title: string;
  readonly scale: "linear" | "log";
  readonly contenders: readonly ContenderId[];
  value(result: LabResult): number | null;
}

/** One setting varied for several contenders. */
export interface Sweep {
  readonly axis: {
    readonly title: string;
    readonly scale: "linear" | "log";
  };
  readonly contenders: readonly ContenderId[];
  readonly points: Readonly<Record<Grid, readonly SweepPoint[]>>;
  readonly panels: readonly Metric[];
}

/** The runs of one contender at one point. */
export interface Measured {
  readonly contender: ContenderId;
  readonly x: number;
  readonly runs: readonly KeptRun[];
}

/** The cells of a sweep. */
export function sweepCells(sweep: Sweep, grid: Grid): Cell[] {
  return placed(sweep, grid).map(({ cell }) => cell);
}

/** What was measured of a sweep; points without any run are left out. */
export function measured(sweep: Sweep, grid: Grid, results: Results): Measured[] {
  return placed(sweep, grid)
    .map(({ contender, x, cell }) => ({ contender, x, runs: results.of(cell) }))
    .filter(({ runs }) => runs.length > 0);
}

function placed(sweep: Sweep, grid: Grid): { contender: ContenderId; x: number; cell: Cell }[] {
  return sweep.points[grid].flatMap((point) => {
    const { x, settings, repeats } = point;
    const more = repeats === undefined ? {} : { repeats };
    return sweep.contenders
      .filter((id) => point.contenders === undefined || point.contenders.includes(id))
      .map((contender) => ({ contender, x, cell: cellOf(contender, settings, more) }));
  });
}

/** The spread of a metric over the runs in which the guest arrived whole. */
export function spreadAt(one: Measured, value: Metric["value"]): Spread | null {
  const values = one.runs
    .filter(hasArrived)
    .map((run) => value(run.result!))
    .filter((number) => number !== null);
  return spreadOf(values);
}

/** The median of a metric for a contender at a point; null where there is none. */
export function medianAt(
  all: readonly Measured[],
  contender: ContenderId,
  x: number,
  value: Metric["value"],
): number | null {
  const one = all.find((measuredOne) => measuredOne.contender === contender && measuredOne.x === x);
  return one === undefined ? null : (spreadAt(one, value)?.median ?? null);
}

/** The medians of a metric for a contender by x, ascending. */
export function mediansOver(
  all: readonly Measured[],
  contender: ContenderId,
  value: Metric["value"],
): { x: number; median: number }[] {
  return all
    .filter((one) => one.contender === contender)
    .map((one) => ({ x: one.x, median: spreadAt(one, value)?.median ?? null }))
    .filter((point) => point.median !== null)
    .map(({ x, median }) => ({ x, median: median! }))
    .toSorted((one, other) => one.x - other.x);
}

/** Each panel's figures: a row per contender, a column per point: median, smallest and largest, number of runs. */
export function sweepTables(sweep: Sweep, all: readonly Measured[]): Table[] {
  const columns = [...new Set(all.map(({ x }) => x))].toSorted((one, other) => one - other);
  return sweep.panels.map((panel) => ({
    title: panel.title,
    rows: [
      [sweep.axis.title, ...columns.map((x) => x.toLocaleString("en-US"))],
      ...panel.contenders
        .filter((id) => all.some(({ contender }) => contender === id))
        .map((id) => [
          contenders[id].label,
          ...columns.map((x) => {
            const one = all.find(({ contender, x: place }) => contender === id && place === x);
            return one === undefined ? "" : spreadText(one, panel.value);
          }),
        ]),
    ],
  }));
}

function spreadText(one: Measured, value: Metric["value"]): string {
  const spread = spreadAt(one, value);
  const failed = one.runs.filter((run) => !hasArrived(run)).length;
  const failures = failed === 0 ? "" : `${failed} failed`;
  if (spread === null) return failures === "" ? "–" : failures;
  const { median, low, high, runs } = spread;
  const range = runs === 1 ? "" : ` (${short(low)}–${short(high)}, ${runs} runs)`;
  return `${short(median)}${range}${failures === "" ? "" : `, ${failures}`}`;
}

/** Three digits that count. */
export function short(number: number): string {
  if (number === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(number))));
  return number.toFixed(Math.min(digits, 3));
}
