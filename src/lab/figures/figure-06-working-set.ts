import { baseGuest } from "./base-guest.ts";
import { type Cell, cellOf } from "./cell.ts";
import type { Chart } from "./draw-svg.ts";
import { type Drawn, type Figure, type Grid, notMeasured } from "./figure.ts";
import type { KeptRun } from "./kept-run.ts";
import type { Results } from "./results.ts";
import { type Spread, spreadOf } from "./statistics.ts";
import { short } from "./sweep.ts";

/** More than the largest set has pages a second, so that what limits is the set, and then the guest. */
const DIRTY_RATE = "150MB/s";
const ASKED_FOR_BYTES_PER_SECOND = 150e6;

const workingSetsMiB: Readonly<Record<Grid, readonly number[]>> = {
  quick: [8, 32],
  full: [8, 16, 32, 64, 128],
};

const links: Readonly<Record<Grid, string>> = { quick: "150Mbit/s", full: "400Mbit/s" };

const seriesNames = [
  "distinct pages asked for",
  "QEMU: calc-dirty-rate (sampling)",
  "QEMU: query-migrate",
] as const;

const colours = ["#bbbbbb", "#0072b2", "#d55e00"];

interface Point {
  readonly x: number;
  readonly series: (typeof seriesNames)[number];
  readonly spread: Spread;
}

/** Figure 6: the load's working set against the dirty rate measured by QEMU. */
export const workingSetFigure: Figure = {
  number: 6,
  name: "figure-06-working-set",
  title: "The load's working set against the dirty rate measured by QEMU",
  expected: "The dirty rate grows with the working set: the load test does what it is told.",
  cells: (grid) => workingSetsMiB[grid].map((x) => cellFor(grid, x)),
  draw(grid, results): Drawn {
    const points = workingSetsMiB[grid].flatMap((x) => pointsAt(x, results.of(cellFor(grid, x))));
    if (points.length === 0) return notMeasured;
    return {
      charts: { "": chartOf(points) },
      ...told(points),
      tables: [tableOf(grid, points, results)],
    };
  },
};

function cellFor(grid: Grid, workingSetMiB: number): Cell {
  const settings = {
    ...baseGuest[grid],
    dirty: DIRTY_RATE,
    hot: `${workingSetMiB}MiB`,
    // The first pass takes some five seconds: QEMU measures over no less than one.
    link: links[grid],
    // Then whatever the set is may be sent at the stop: the load is what is measured.
    downtimeLimit: "3s",
  };
  return cellOf("qemu", settings, { extras: ["dirty-rate", "timeline"] });
}

function pointsAt(x: number, runs: readonly KeptRun[]): Point[] {
  if (runs.length === 0) return [];
  const asked = Math.min(x * 1024 ** 2, ASKED_FOR_BYTES_PER_SECOND);
  const sampled = runs.map((run) => run.dirtyBytesPerSecond).filter((rate) => rate !== null);
  const migrating = runs.map(rateWhileMigrating).filter((rate) => rate > 0);
  return ([asked === 0 ? [] : [asked], sampled, migrating] as const).flatMap((rates, at) => {
    const spread = spreadOf(rates.map((rate) => rate / 1e6));
    return spread === null ? [] : [{ x, series: seriesNames[at]!, spread }];
  });
}

/** The highest rate that QEMU told during the move: it tells 0 until it has measured one. */
function rateWhileMigrating({ events }: KeptRun): number {
  const rates = (events ?? []).map((event) => (event.type === "progress" ? event.dirtyPagesPerSecond : 0));
  return Math.max(0, ...rates) * 4096;
}

function chartOf(points: readonly Point[]): Chart {
  const rows = points.map(({ x, series, spread }) => ({ x, series, ...spread }));
  const x = {
    field: "x",
    type: "quantitative",
    title: "working set, MiB",
    axis: { values: [...new Set(points.map((point) => point.x))] },
  } as const;
  const colour = {
    field: "series",
    type: "nominal",
    scale: { domain: seriesNames, range: colours },
  } as const;
  const title = null;
  return {
    title: "Dirty rate, MB/s",
    width: 380,
    height: 240,
    data: { values: rows },
    layer: [
      {
        mark: { type: "rule", opacity: 0.45, strokeWidth: 1.5 },
        encoding: {
          x,
          y: { field: "low", type: "quantitative", title },
          y2: { field: "high" },
          color: colour,
        },
      },
      {
        mark: {
          type: "line",
          strokeWidth: 2,
          point: { filled: false, fill: "white", size: 45, strokeWidth: 2 },
        },
        encoding: { x, y: { field: "median", type: "quantitative", title }, color: colour },
      },
    ],
  };
}

function told(points: readonly Point[]): Pick<Drawn, "sentence" | "agrees"> {
  const sampled = points.filter(({ series }) => series === seriesNames[1]);
  const [first, last] = [sampled[0], sampled.at(-1)];
  if (first === undefined || last === undefined || first === last) {
    return { sentence: "Too few points to compare.", agrees: null };
  }
  const rising = sampled.every(
    ({ spread }, at) => at === 0 || spread.median > sampled[at - 1]!.spread.median,
  );
  return {
    sentence:
      `QEMU's sampling sees ${short(first.spread.median)} MB/s with a working set of ${first.x} MiB and ` +
      `${short(last.spread.median)} MB/s with ${last.x} MiB: pages are counted once a second however often they are ` +
      `written, so that the rate follows the set until the guest can write no faster. ` +
      `While it migrates QEMU counts per round, and its rounds are not seconds.`,
    agrees: rising,
  };
}

function tableOf(grid: Grid, points: readonly Point[], results: Results) {
  const columns = workingSetsMiB[grid];
  const rows = seriesNames.map((series) => [
    `${series}, MB/s`,
    ...columns.map((x) => {
      const point = points.find((one) => one.x === x && one.series === series);
      return point === undefined ? "–" : short(point.spread.median);
    }),
  ]);
  const written = columns.map((x) => {
    const rates = results.of(cellFor(grid, x)).flatMap((run) => run.result?.load?.dirtyBytesPerSecond ?? []);
    const spread = spreadOf(rates.map((rate) => rate / 1e6));
    return spread === null ? "–" : short(spread.median);
  });
  return {
    title: "Dirty rate by working set",
    rows: [
      ["working set, MiB", ...columns.map(String)],
      ...rows,
      ["pages written by the guest's own count, MB/s", ...written],
    ],
  };
}
