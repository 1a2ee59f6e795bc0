import { contenders } from "./contenders.ts";
import type { Chart } from "./draw-svg.ts";
import { hasArrived } from "./kept-run.ts";
import { legendPanel } from "./legend-panel.ts";
import { logTicks } from "./log-ticks.ts";
import { type Measured, type Metric, type Sweep, spreadAt } from "./sweep.ts";

const PANEL_WIDTH = 300;
const PANEL_HEIGHT = 240;

/** Counts of failed runs stand above each other over the panel, this far apart. */
const FAILURE_STEP = 12;

interface Row {
  readonly contender: string;
  readonly colour: string;
  readonly dash: readonly number[];
  readonly shape: string;
  readonly x: number;
  readonly median: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly failure: string | null;
  readonly failureY: number;
}

/** Lines over x, one per contender, with the range of the runs as a bar; a panel per metric. Null of no runs. */
export function sweepChart(sweep: Sweep, all: readonly Measured[]): Chart | null {
  if (all.length === 0) return null;
  const shown = sweep.contenders.filter((id) => all.some(({ contender }) => contender === id));
  const panels = sweep.panels.map((panel) => panelOf(sweep, panel, all));
  return { hconcat: [...panels, legendPanel(shown)], spacing: 36 };
}

function panelOf(sweep: Sweep, panel: Metric, all: readonly Measured[]) {
  const rows = rowsOf(panel, all);
  const x = xChannel(sweep, all);
  const y = yChannel(panel, rows);
  const headroom = Math.max(0, ...rows.map(({ failureY }) => -failureY));
  return {
    title: { text: panel.title, offset: 10 + headroom },
    width: PANEL_WIDTH,
    height: PANEL_HEIGHT,
    data: { values: rows },
    layer: [
      {
        transform: [{ filter: "datum.high > datum.low" }],
        mark: { type: "rule", strokeWidth: 1.5, opacity: 0.45 },
        encoding: { x, y: y("low"), y2: { field: "high" }, color: own("colour") },
      },
      {
        transform: [{ filter: "isValid(datum.median)" }],
        mark: { type: "line", strokeWidth: 2 },
        encoding: {
          x,
          y: y("median"),
          color: own("colour"),
          strokeDash: own("dash"),
          detail: { field: "contender", type: "nominal" },
        },
      },
      {
        transform: [{ filter: "isValid(datum.median)" }],
        mark: { type: "point", size: 45, fill: "white", strokeWidth: 2, opacity: 1 },
        encoding: { x, y: y("median"), stroke: own("colour"), shape: own("shape") },
      },
      {
        transform: [{ filter: "isValid(datum.failure)" }],
        mark: { type: "text", fontSize: 11, fontWeight: "bold", align: "center", baseline: "bottom" },
        encoding: {
          x,
          y: { field: "failureY", type: "quantitative", scale: null, axis: null },
          text: { field: "failure" },
          color: own("colour"),
        },
      },
    ],
  };
}

/** A channel that is in the rows as it is, so that Vega makes no legend of its own. */
function own(field: "colour" | "dash" | "shape") {
  return { field, type: "nominal", scale: null };
}

function xChannel({ axis }: Sweep, all: readonly Measured[]) {
  return {
    field: "x",
    type: "quantitative",
    title: axis.title,
    scale: {
      type: axis.scale,
      nice: false,
      padding: 14,
      ...(axis.scale === "linear" ? { zero: false } : {}),
    },
    axis: { values: [...new Set(all.map(({ x }) => x))], format: ",~f", labelOverlap: false },
  };
}

function yChannel({ scale }: Metric, rows: readonly Row[]) {
  const values = rows.flatMap(({ low, high }) => (low === null || high === null ? [] : [low, high]));
  const positive = values.filter((value) => value > 0);
  const logarithmic = scale === "log" && positive.length > 0;
  const ticks = logarithmic ? logTicks(Math.min(...positive), Math.max(...positive)) : [];
  return (field: string) => ({
    field,
    type: "quantitative",
    title: null,
    scale: logarithmic ? { type: "log", domain: [ticks[0], ticks.at(-1)], nice: false } : { zero: true },
    axis: logarithmic ? { format: ",~g", values: ticks } : { format: ",~g" },
  });
}

function rowsOf(panel: Metric, all: readonly Measured[]): Row[] {
  const failuresAt = new Map<number, number>();
  return all
    .filter(({ contender }) => panel.contenders.includes(contender))
    .map((one) => {
      const { label, colour, dash, shape } = contenders[one.contender];
      const spread = spreadAt(one, panel.value);
      const failed = one.runs.filter((run) => !hasArrived(run)).length;
      const above = failuresAt.get(one.x) ?? 0;
      if (failed > 0) failuresAt.set(one.x, above + 1);
      return {
        contender: label,
        colour,
        dash,
        shape,
        x: one.x,
        median: spread?.median ?? null,
        low: spread?.low ?? null,
        high: spread?.high ?? null,
        failure: failed === 0 ? null : `✕ ${failed} of ${one.runs.length}`,
        failureY: failed === 0 ? 0 : -4 - above * FAILURE_STEP,
      };
    });
}
