import type { ClientSteps } from "../client-stream-steps.ts";
import { contenders } from "./contenders.ts";
import type { Chart } from "./draw-svg.ts";
import { type Drawn, type Figure, type Grid, notMeasured } from "./figure.ts";
import { followed, followedCell, followedCells } from "./followed-cells.ts";
import { hasArrived, type KeptRun } from "./kept-run.ts";
import type { Results } from "./results.ts";
import { medianOf } from "./statistics.ts";
import { msText } from "./words.ts";

interface Seen {
  readonly label: string;
  readonly colour: string;
  /** The run of the median pause: one move is shown, not a mean of moves. */
  readonly run: KeptRun;
  readonly steps: ClientSteps;
  readonly pausesMs: readonly number[];
}

/** Figure 9: what a client receives in steps of 100 ms through a migration. */
export const clientFigure: Figure = {
  number: 9,
  name: "figure-09-client",
  title: "What a client receives in steps of 100 ms through a migration",
  expected:
    "The throughput of a client falls to nothing for the downtime and is back at once afterwards; some TCP segments are sent again.",
  cells: followedCells,
  draw(grid, results): Drawn {
    const seen = allSeen(grid, results);
    if (seen.length === 0) return notMeasured;
    return {
      charts: { "": chartOf(seen) },
      sentence: sentenceOf(seen),
      agrees: seen.every(({ run }) => hasArrived(run))
        ? seen.some(({ steps }) => emptySteps(steps) > 0)
        : null,
      tables: [tableOf(seen)],
    };
  },
};

function allSeen(grid: Grid, results: Results): Seen[] {
  return followed[grid].flatMap((contender) => {
    const runs = results
      .of(followedCell(grid, contender))
      .filter((run) => run.clientSteps !== null && run.result !== null)
      .toSorted((one, other) => pauseOf(one) - pauseOf(other));
    const run = runs[(runs.length - 1) >> 1];
    if (run === undefined) return [];
    const { label, colour } = contenders[contender];
    return [{ label, colour, run, steps: run.clientSteps!, pausesMs: runs.map(pauseOf) }];
  });
}

/** A client that never heard again saw an endless pause. */
function pauseOf({ result }: KeptRun): number {
  return result?.switchoverPauseSeenMs ?? Number.POSITIVE_INFINITY;
}

function chartOf(seen: readonly Seen[]): Chart {
  const last = Math.max(...seen.map(({ run, steps }) => endSeconds(run, steps)));
  const domain = [Math.min(...seen.map(beginSeconds)), last];
  return {
    vconcat: seen.map((one, at) => panelOf(one, domain, at === seen.length - 1)),
    spacing: 14,
  };
}

function beginSeconds({ run, steps }: Seen): number {
  return (steps.fromMs - Date.parse(run.result!.startedAt)) / 1000;
}

function endSeconds(run: KeptRun, steps: ClientSteps): number {
  const count = steps.receivedBytes.length;
  return (steps.fromMs + count * steps.stepMs - Date.parse(run.result!.startedAt)) / 1000;
}

function panelOf(one: Seen, domain: readonly number[], isLast: boolean) {
  const { label, colour, run, steps } = one;
  const begin = beginSeconds(one);
  const stepSeconds = steps.stepMs / 1000;
  const rows = steps.receivedBytes.map((bytes, at) => ({
    from: begin + at * stepSeconds,
    kilobytesPerSecond: bytes / steps.stepMs,
    again: steps.retransmittedSegments[at]! + steps.duplicateSegments[at]!,
  }));
  const total = run.result!.totalMs;
  const marks = [{ at: 0 }, ...(total === null ? [] : [{ at: total / 1000 }])];
  const x = (field: string) => ({
    field,
    type: "quantitative",
    scale: { domain, nice: false },
    title: isLast ? "seconds from the beginning of the move" : null,
    axis: isLast ? {} : { labels: false, ticks: false },
  });
  return {
    title: {
      text: label,
      subtitle: summaryOf(one),
      fontSize: 12,
      subtitleFontSize: 11,
      subtitleColor: "#666666",
      offset: 4,
    },
    width: 660,
    height: 74,
    layer: [
      {
        data: { values: marks },
        mark: { type: "rule", color: "#999999", strokeDash: [3, 3] },
        encoding: { x: x("at") },
      },
      {
        data: { values: rows },
        mark: { type: "area", interpolate: "step-after", color: colour, opacity: 0.75 },
        encoding: {
          x: x("from"),
          y: {
            field: "kilobytesPerSecond",
            type: "quantitative",
            title: "kB/s",
            axis: { tickCount: 3 },
          },
        },
      },
      {
        data: { values: rows },
        transform: [{ filter: "datum.again > 0" }],
        mark: { type: "point", shape: "triangle-down", color: "#000000", filled: true, size: 45, opacity: 1 },
        encoding: { x: x("from"), y: { value: 2 } },
      },
    ],
  };
}

function summaryOf({ run, steps, pausesMs }: Seen): string {
  const pause = medianOf(pausesMs.filter(Number.isFinite));
  const words = [
    `pause seen ${msText(pause)}${pausesMs.length > 1 ? ` (median of ${pausesMs.length})` : ""}`,
    `${sum(steps.retransmittedSegments)} segments sent again by the client`,
    `${sum(steps.duplicateSegments)} received twice`,
  ];
  if (!hasArrived(run)) words.unshift("✕ FAILED");
  return words.join(" · ");
}

function sentenceOf(seen: readonly Seen[]): string {
  const told = seen.map(({ label, steps, pausesMs }) => {
    const again = sum(steps.retransmittedSegments) + sum(steps.duplicateSegments);
    return `${label} ${msText(medianOf(pausesMs.filter(Number.isFinite)))} and ${again}`;
  });
  return (
    `Pause seen by the client, and segments sent again: ${told.join("; ")}. Dashed lines are the beginning and the end ` +
    "of the move; what lies between is the live copy or the remainder, and a triangle marks a step with retransmissions."
  );
}

function tableOf(seen: readonly Seen[]) {
  return {
    title: "The move shown, the one with the median pause",
    rows: [
      [
        "engine",
        "runs",
        "pause seen ms",
        "steps without a byte",
        "sent again by the client",
        "received twice",
        "median kB/s",
      ],
      ...seen.map(({ label, steps, pausesMs }) => [
        label,
        String(pausesMs.length),
        msText(medianOf(pausesMs.filter(Number.isFinite))),
        String(emptySteps(steps)),
        String(sum(steps.retransmittedSegments)),
        String(sum(steps.duplicateSegments)),
        String(Math.round((medianOf(steps.receivedBytes) ?? 0) / steps.stepMs)),
      ]),
    ],
  };
}

function emptySteps({ receivedBytes }: ClientSteps): number {
  return receivedBytes.filter((bytes) => bytes === 0).length;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
