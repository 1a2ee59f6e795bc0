import { baseGuest } from "./base-guest.ts";
import { type Cell, cellOf } from "./cell.ts";
import { type ContenderId, contenders, godwitLive, stockSettings } from "./contenders.ts";
import type { Grid, Table } from "./figure.ts";
import { hasArrived } from "./kept-run.ts";
import { totalSeconds } from "./metrics.ts";
import type { Results } from "./results.ts";
import { type Measured, short, spreadAt } from "./sweep.ts";

/** What was wanted of Godwit's total time as a share of the best stock setting's. */
const WANTED_SHARE = { text: 0.5, random: 1.05 } as const;

/** One guest, moved over 1 Gbit/s in every way. */
interface JudgeRow {
  readonly title: string;
  readonly content: keyof typeof WANTED_SHARE;
  readonly settings: Cell["settings"];
}

const stockOf: Readonly<Record<Grid, readonly ContenderId[]>> = {
  quick: ["qemu", "qemu-zstd", "qemu-post-copy"],
  full: stockSettings,
};

const rowsOf: Readonly<Record<Grid, readonly JudgeRow[]>> = {
  quick: [{ title: "text-like, quiet", content: "text", settings: baseGuest.quick }],
  full: [
    { title: "text-like, half held, quiet", content: "text", settings: baseGuest.full },
    {
      title: "text-like, half held, dirties 60 MB/s over 64 MiB",
      content: "text",
      settings: { ...baseGuest.full, dirty: "60MB/s" },
    },
    {
      title: "random, everything held, quiet",
      content: "random",
      // All but what the kernel and the load generator need themselves.
      settings: { ...baseGuest.full, content: "random", hold: "72%" },
    },
  ],
};

/** One row, judged. Times in seconds. */
export interface Judgement {
  readonly title: string;
  readonly wantedShare: number;
  readonly totals: readonly { readonly contender: ContenderId; readonly seconds: number | null }[];
  readonly best: { readonly contender: ContenderId; readonly seconds: number } | null;
  readonly ours: { readonly contender: ContenderId; readonly seconds: number } | null;
  /** Our best total as a share of the best stock setting's. */
  readonly share: number | null;
  /** What our best strategy spent: median seconds until the first page, and of processor time on both sides. */
  readonly cost: { readonly setupSeconds: number; readonly cpuSeconds: number } | null;
}

/** The cells of the judge's table. */
export function judgeCells(grid: Grid): Cell[] {
  return rowsOf[grid].flatMap(({ settings }) =>
    [...stockOf[grid], ...godwitLive].map((contender) => cellOf(contender, settings)),
  );
}

/** Each row of which both sides were measured, judged. */
export function judge(grid: Grid, results: Results): Judgement[] {
  return rowsOf[grid].map(({ title, content, settings }) => {
    const measuredOf = (contender: ContenderId): Measured => ({
      contender,
      x: 0,
      runs: results.of(cellOf(contender, settings)),
    });
    const totalOf = (contender: ContenderId) => ({
      contender,
      seconds: spreadAt(measuredOf(contender), totalSeconds)?.median ?? null,
    });
    const stock = stockOf[grid].map(totalOf);
    const own = godwitLive.map(totalOf);
    const [best, ours] = [shortest(stock), shortest(own)];
    return {
      title,
      wantedShare: WANTED_SHARE[content],
      totals: [...stock, ...own],
      best,
      ours,
      share: best === null || ours === null ? null : ours.seconds / best.seconds,
      cost: ours === null ? null : costOf(measuredOf(ours.contender)),
    };
  });
}

function shortest(totals: readonly { contender: ContenderId; seconds: number | null }[]) {
  const known = totals.flatMap(({ contender, seconds }) =>
    seconds === null ? [] : [{ contender, seconds }],
  );
  return known.toSorted((one, other) => one.seconds - other.seconds)[0] ?? null;
}

function costOf(one: Measured): Judgement["cost"] {
  const arrived = one.runs.filter(hasArrived);
  const setup = spreadAt({ ...one, runs: arrived }, ({ setupMs }) => setupMs)?.median;
  const cpu = spreadAt({ ...one, runs: arrived }, ({ cpu: { sourceSeconds, destinationSeconds } }) =>
    sourceSeconds === null || destinationSeconds === null ? null : sourceSeconds + destinationSeconds,
  )?.median;
  return setup === undefined || cpu === undefined ? null : { setupSeconds: setup / 1000, cpuSeconds: cpu };
}

/** The judge's table for people. */
export function judgeTable(judged: readonly Judgement[]): Table {
  const shown = judged.flatMap(({ totals }) => totals.map(({ contender }) => contender));
  const columns = [...new Set(shown)];
  return {
    title: "Total time in seconds at 1 Gbit/s, medians",
    rows: [
      ["guest", ...columns.map((id) => contenders[id].label), "ratio", "wanted", ""],
      ...judged.map(({ title, totals, share, wantedShare }) => [
        title,
        ...columns.map((id) => {
          const seconds = totals.find(({ contender }) => contender === id)?.seconds ?? null;
          return seconds === null ? "–" : short(seconds);
        }),
        share === null ? "–" : share.toFixed(2),
        `≤ ${wantedShare}`,
        share === null ? "not measured" : share <= wantedShare ? "met" : "MISSED",
      ]),
    ],
  };
}

/** What each row comes to, a sentence each, with what the time went into where the row is missed. */
export function judgeText(judged: readonly Judgement[]): string[] {
  return judged.map(({ title, best, ours, share, wantedShare, cost }) => {
    if (best === null || ours === null || share === null) return `${title}: not measured.`;
    const sentence =
      `${title}: ${contenders[ours.contender].label} ${short(ours.seconds)} s, the best stock setting ` +
      `(${contenders[best.contender].label}) ${short(best.seconds)} s, ratio ${share.toFixed(2)}`;
    if (share <= wantedShare) return `${sentence}: met.`;
    const spent =
      cost === null
        ? ""
        : ` Of it ${short(cost.setupSeconds)} s went by before the first page (the destination's QEMU is started, which ` +
          `stock QEMU's time leaves out; without it the ratio is ${((ours.seconds - cost.setupSeconds) / best.seconds).toFixed(2)}), ` +
          `and the agents used ${short(cost.cpuSeconds)} s of processor time, on cores that both hosts, both QEMUs and ` +
          "the emulated guest share.";
    return `${sentence}: missed (wanted ≤ ${wantedShare}).${spent}`;
  });
}
