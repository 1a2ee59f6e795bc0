import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Chart } from "./draw-svg.ts";
import type { Agreement, Drawn, Figure, Table } from "./figure.ts";
import { type Spread, spreadOf } from "./statistics.ts";
import { short } from "./sweep.ts";

const benchmarks = join(import.meta.dirname, "../../../bench/results");

/** What is read of a line of a benchmark: whatever else it has is the benchmark's own. */
const lineSchema = z.looseObject({
  cell: z.string(),
  result: z.looseObject({
    outcome: z.string(),
    engine: z.string(),
    totalMs: z.number().nullable(),
    setupMs: z.number().nullable(),
    downtimeMs: z.number().nullable(),
    switchoverPauseSeenMs: z.number().nullable(),
    bytesOnWire: z.number(),
    guestVerified: z.boolean().nullable(),
    freePages: z.object({ lockMs: z.number() }).nullish(),
    pages: z.object({ faulted: z.number() }).optional(),
  }),
});

type BenchmarkLine = z.infer<typeof lineSchema>;

interface Metric {
  readonly title: string;
  value(result: BenchmarkLine["result"]): number | null;
}

/** What a paper says of one of ours beside one of theirs, in every guest that both were measured with. */
interface Claim {
  readonly ours: string;
  readonly theirs: string;
  /** Title of the metric that is compared. */
  readonly metric: string;
  /** Ours is at most this share of theirs. */
  readonly mostShare: number;
  /** Which guests it is about; all where absent. */
  readonly guests?: RegExp;
}

/** A benchmark that has a program of its own, and what of it is drawn. */
export interface Benchmark {
  readonly name: string;
  /** Its kept runs, in bench/results. */
  readonly file: string;
  /** What makes them. */
  readonly source: string;
  readonly what: string;
  readonly metrics: readonly Metric[];
  readonly claims: readonly Claim[];
}

const seconds = (milliseconds: number | null) => (milliseconds === null ? null : milliseconds / 1000);

/** `bench/free-pages.ts` */
export const freePagesBenchmark: Benchmark = {
  name: "free-pages",
  file: "free-pages.jsonl",
  source: "node bench/free-pages.ts",
  what: "The guest's free pages (figures 3 to 6 of the first paper)",
  metrics: [
    { title: "sent, MB", value: ({ bytesOnWire }) => bytesOnWire / 1e6 },
    { title: "set-up, ms", value: ({ setupMs }) => setupMs },
    { title: "under locks, ms", value: ({ freePages }) => freePages?.lockMs ?? null },
    { title: "total, s", value: ({ totalMs }) => seconds(totalMs) },
  ],
  claims: [
    {
      ...{ ours: "godwit, driver", theirs: "qemu pre-copy", metric: "sent, MB", mostShare: 0.1 },
      guests: /holds 0%/,
    },
  ],
};

const hybrid: Benchmark = {
  name: "hybrid",
  file: "post-copy.jsonl",
  source: "node bench/post-copy.ts",
  what: "Hybrid beside pre-copy and post-copy (the table of the second paper)",
  metrics: [
    { title: "pause seen, ms", value: ({ switchoverPauseSeenMs }) => switchoverPauseSeenMs },
    { title: "downtime, ms", value: ({ downtimeMs }) => downtimeMs },
    { title: "total, s", value: ({ totalMs }) => seconds(totalMs) },
    { title: "sent, MB", value: ({ bytesOnWire }) => bytesOnWire / 1e6 },
    { title: "faults", value: ({ pages }) => pages?.faulted ?? null },
  ],
  claims: ["pause seen, ms", "faults"].map((metric) => {
    return { ours: "godwit hybrid", theirs: "qemu post-copy", metric, mostShare: 1 };
  }),
};

/** Reads the benchmarks in a folder, which have programs of their own: nothing is run for this figure. */
export function benchmarkFigure(folder: string = benchmarks): Figure {
  return {
    number: 8,
    name: "figure-08-benchmarks",
    title: "Free pages, and hybrid beside the others: from the benchmarks' own runs",
    expected:
      "A guest's free pages need not be sent, so that an idle guest moves with few bytes; hybrid has the short pause of post-copy with few faults.",
    cells: () => [],
    draw(): Drawn {
      const drawn = [freePagesBenchmark, hybrid].map((benchmark) => ({
        benchmark,
        bars: barsOf(join(folder, benchmark.file), benchmark),
      }));
      return {
        charts: Object.fromEntries(
          drawn.flatMap(({ benchmark, bars }) =>
            bars.length === 0 ? [] : [[benchmark.name, chartOf(benchmark, bars)]],
          ),
        ),
        sentence: drawn
          .map(({ benchmark, bars }) =>
            [sentenceOf(benchmark, bars), ...claimTexts(benchmark, bars)].join(" "),
          )
          .join(" "),
        agrees: agreementOf(drawn.flatMap(({ benchmark, bars }) => sharesOf(benchmark, bars))),
        tables: drawn.flatMap(({ benchmark, bars }) => (bars.length === 0 ? [] : [tableOf(benchmark, bars)])),
      };
    },
  };
}

/** One cell of a benchmark. */
export interface BenchmarkBar {
  readonly row: string;
  readonly engine: string;
  readonly stock: boolean;
  readonly runs: number;
  readonly failed: number;
  readonly values: readonly (Spread | null)[];
}

/** The cells of a benchmark's kept runs, in the order of their first run; none where there is no such file. */
export function barsOf(path: string, { metrics }: Benchmark): BenchmarkBar[] {
  const lines = linesOf(path);
  const cells = [...new Set(lines.map(({ cell }) => cell))];
  return cells.map((cell) => {
    const own = lines.filter((line) => line.cell === cell).map(({ result }) => result);
    const arrived = own.filter(
      ({ outcome, guestVerified }) => outcome === "completed" && guestVerified === true,
    );
    const split = cell.lastIndexOf(": ");
    return {
      row: split === -1 ? "" : cell.slice(0, split),
      engine: cell.slice(split === -1 ? 0 : split + 2),
      stock: own[0]?.engine === "qemu",
      runs: arrived.length,
      failed: own.length - arrived.length,
      values: metrics.map(({ value }) => spreadOf(arrived.map(value).filter((number) => number !== null))),
    };
  });
}

function linesOf(path: string): BenchmarkLine[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .flatMap((line) => lineSchema.safeParse(JSON.parse(line)).data ?? []);
}

/** A panel for each guest and metric, a bar for each engine. */
export function chartOf({ metrics }: Benchmark, bars: readonly BenchmarkBar[]): Chart {
  const rows = [...new Set(bars.map(({ row }) => row))];
  const mostOf = (at: number) => Math.max(0, ...bars.map(({ values }) => values[at]?.median ?? 0));
  return {
    vconcat: rows.map((row) => {
      const own = bars.filter((bar) => bar.row === row);
      return {
        title: row,
        hconcat: metrics.map((metric, at) => barsPanel(metric.title, own, at, mostOf(at))),
        spacing: 16,
      };
    }),
    spacing: 22,
  };
}

function barsPanel(title: string, bars: readonly BenchmarkBar[], at: number, most: number) {
  const values = bars.map(({ engine, stock, values: spreads, failed }) => ({
    engine,
    stock,
    median: spreads[at]?.median ?? 0,
    label: spreads[at] == null ? (failed > 0 ? "✕ failed" : "–") : short(spreads[at].median),
  }));
  const y = {
    field: "engine",
    type: "nominal",
    title: null,
    sort: null,
    axis:
      at === 0 ? { labelLimit: 320, minExtent: 200, ticks: false, domain: false, labelFlush: false } : null,
  };
  return {
    width: 140,
    height: { step: 17 },
    data: { values },
    encoding: {
      y,
      x: {
        field: "median",
        type: "quantitative",
        title,
        axis: {
          orient: "top",
          labels: false,
          ticks: false,
          domain: false,
          grid: false,
          titleAnchor: "start",
        },
        // One scale for all guests, so that bars can be compared down the page.
        scale: { domain: [0, most], nice: false, range: [0, 100] },
      },
    },
    layer: [
      {
        mark: { type: "bar", height: 11 },
        encoding: {
          color: {
            field: "stock",
            type: "nominal",
            scale: { domain: [true, false], range: ["#b5b5b5", "#0072b2"] },
            legend: null,
          },
        },
      },
      {
        mark: { type: "text", align: "left", dx: 4, fontSize: 10, color: "#222222" },
        encoding: { text: { field: "label" } },
      },
    ],
  };
}

function sentenceOf({ what, file, source }: Benchmark, bars: readonly BenchmarkBar[]): string {
  if (bars.length === 0) return `${what}: there is no bench/results/${file}; ${source} makes it.`;
  const runs = bars.reduce((sum, bar) => sum + bar.runs, 0);
  const failed = bars.reduce((sum, bar) => sum + bar.failed, 0);
  const failures = failed === 0 ? "" : `, ${failed} failed`;
  return `${what}: ${runs} runs of ${bars.length} cells${failures}, made by ${source}.`;
}

interface Share {
  readonly claim: Claim;
  /** Ours by theirs, of each guest. */
  readonly shares: readonly number[];
}

function sharesOf({ metrics, claims }: Benchmark, bars: readonly BenchmarkBar[]): Share[] {
  return claims.map((claim) => {
    const at = metrics.findIndex(({ title }) => title === claim.metric);
    const medianOf = (row: string, engine: string) =>
      bars.find((bar) => bar.row === row && bar.engine === engine)?.values[at]?.median;
    const rows = [...new Set(bars.map(({ row }) => row))].filter((row) => claim.guests?.test(row) ?? true);
    const shares = rows.flatMap((row) => {
      const [own, other] = [medianOf(row, claim.ours), medianOf(row, claim.theirs)];
      return own === undefined || other === undefined || other === 0 ? [] : [own / other];
    });
    return { claim, shares };
  });
}

function claimTexts(benchmark: Benchmark, bars: readonly BenchmarkBar[]): string[] {
  return sharesOf(benchmark, bars).flatMap(({ claim: { ours, theirs, metric }, shares }) => {
    if (shares.length === 0) return [];
    const range = [...new Set([Math.min(...shares), Math.max(...shares)].map(short))].join(" to ");
    return [`${metric}: ${ours} has ${range} of ${theirs}'s, in ${shares.length} guests.`];
  });
}

function agreementOf(all: readonly Share[]): Agreement {
  if (all.some(({ shares }) => shares.length === 0)) return null;
  return all.every(({ claim, shares }) => shares.every((share) => share <= claim.mostShare));
}

function tableOf({ what, metrics }: Benchmark, bars: readonly BenchmarkBar[]): Table {
  return {
    title: what,
    rows: [
      ["guest", "engine", "runs", ...metrics.map(({ title }) => title)],
      ...bars.map(({ row, engine, runs, failed, values }) => [
        row,
        engine,
        failed === 0 ? String(runs) : `${runs}, ${failed} failed`,
        ...values.map((spread) => (spread === null ? "–" : short(spread.median))),
      ]),
    ],
  };
}
