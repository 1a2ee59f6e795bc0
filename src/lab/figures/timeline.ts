import type { MigrationEvent, PhaseName } from "../../migration/events.ts";
import type { Chart } from "./draw-svg.ts";

const PAGE_BYTES = 4096;

const WIDTH = 660;

/** Of the letters of a phase's name, and the room around it. A phase too short for its name gets none. */
const LETTER_WIDTH = 6.5;
const NAME_MARGIN = 8;

const phaseColours: Readonly<Partial<Record<PhaseName, string>>> = {
  preflight: "#f4f4f4",
  setup: "#ececec",
  live: "#e3eef7",
  switchover: "#f6d5c3",
  remainder: "#dff0e8",
  cancelling: "#f2dede",
  cancelled: "#f2dede",
  failed: "#f2dede",
  paused: "#f2dede",
};

/** What a migration was like over time, seconds from its beginning. */
export interface Timeline {
  readonly phases: readonly { readonly phase: PhaseName; readonly from: number; readonly to: number }[];
  readonly samples: readonly {
    readonly at: number;
    readonly megabytesPerSecond: number;
    readonly owedMegabytes: number;
    readonly dirtyMegabytesPerSecond: number;
    readonly faultedPages: number;
    readonly rounds: number;
  }[];
  readonly decisions: readonly { readonly at: number; readonly what: string }[];
  readonly endSeconds: number;
}

/** Reads a migration's events. Stock QEMU tells no phases; then there are none. */
export function timelineOf(events: readonly MigrationEvent[]): Timeline {
  const endSeconds = Math.max(0, ...events.map(({ atMs }) => atMs)) / 1000;
  const begun = events.flatMap((event) =>
    event.type === "phase" ? [{ phase: event.phase, at: event.atMs / 1000 }] : [],
  );
  return {
    endSeconds,
    phases: begun
      .map(({ phase, at }, index) => ({ phase, from: at, to: begun[index + 1]?.at ?? endSeconds }))
      .filter(({ from, to }) => to > from),
    samples: events.flatMap((event) =>
      event.type !== "progress"
        ? []
        : [
            {
              at: event.atMs / 1000,
              megabytesPerSecond: event.wireBytesPerSecond / 1e6,
              owedMegabytes: (event.owedPages * PAGE_BYTES) / 1e6,
              dirtyMegabytesPerSecond: (event.dirtyPagesPerSecond * PAGE_BYTES) / 1e6,
              faultedPages: event.faultedPages,
              rounds: event.rounds,
            },
          ],
    ),
    decisions: events.flatMap((event) =>
      event.type === "decision" ? [{ at: event.atMs / 1000, what: event.what }] : [],
    ),
  };
}

/** Rate, owed pages, faults and rounds over time, the phases as bands behind them. */
export function timelineChart(title: string, timeline: Timeline): Chart {
  const faulted = timeline.samples.some(({ faultedPages }) => faultedPages > 0);
  const panels = [
    panelOf(timeline, {
      title: "on the wire, MB/s",
      field: "megabytesPerSecond",
      colour: "#0072b2",
    }),
    panelOf(timeline, { title: "owed, MB", field: "owedMegabytes", colour: "#d55e00", rounds: true }),
    ...(timeline.samples.some(({ dirtyMegabytesPerSecond }) => dirtyMegabytesPerSecond > 0)
      ? [
          panelOf(timeline, {
            title: "dirtied, MB/s",
            field: "dirtyMegabytesPerSecond",
            colour: "#8a6d00",
          }),
        ]
      : []),
    ...(faulted
      ? [panelOf(timeline, { title: "faults so far", field: "faultedPages", colour: "#009e73" })]
      : []),
  ];
  const last = panels.at(-1)!;
  return {
    title,
    // Stock QEMU tells no phases.
    vconcat: [
      ...(timeline.phases.length === 0 ? [] : [phasesPanel(timeline)]),
      ...panels.slice(0, -1),
      { ...last, layer: withTimeAxis(last.layer) },
    ],
    spacing: 12,
  };
}

interface PanelOptions {
  readonly title: string;
  readonly field: string;
  readonly colour: string;
  readonly rounds?: boolean;
}

type Layer = {
  readonly encoding: { readonly x: Record<string, unknown> } & Record<string, unknown>;
} & Record<string, unknown>;

function panelOf(timeline: Timeline, { title, field, colour, rounds }: PanelOptions) {
  const { samples } = timeline;
  const x = (name: string) => timeChannel(timeline, name);
  const starts = samples.filter((sample, at) => at > 0 && sample.rounds > samples[at - 1]!.rounds);
  const layer: Layer[] = [
    bandsLayer(timeline),
    ...(rounds === true
      ? [
          {
            data: { values: starts },
            mark: { type: "tick", color: "#777777", orient: "vertical", size: 8, thickness: 1 },
            encoding: { x: x("at"), y: { value: 4 } },
          } as unknown as Layer,
          {
            data: {
              values: starts.slice(-1).map(({ at, rounds: count }) => ({ at, text: `${count} rounds` })),
            },
            mark: { type: "text", align: "right", baseline: "top", dx: -5, fontSize: 11, color: "#444444" },
            encoding: { x: x("at"), y: { value: 10 }, text: { field: "text" } },
          } as Layer,
        ]
      : []),
    {
      data: { values: samples },
      mark: {
        type: "area",
        line: { color: colour },
        color: colour,
        fillOpacity: 0.2,
      },
      encoding: {
        x: x("at"),
        y: { field, type: "quantitative", title: null, axis: { tickCount: 3, minExtent: 40 } },
      },
    } as Layer,
  ];
  const heading = { text: title, fontSize: 11, fontWeight: "normal", color: colour, offset: 4 };
  return { title: heading, width: WIDTH, height: 80, layer };
}

/** The phases' names over their bands. */
function phasesPanel(timeline: Timeline) {
  const labelled = timeline.phases
    .filter(({ phase, from, to }) => ((to - from) / timeline.endSeconds) * WIDTH > nameWidth(phase))
    .map(({ phase, from }) => ({ phase, from }));
  const axis = null;
  const bands = bandsLayer(timeline);
  const names = {
    data: { values: labelled },
    mark: { type: "text", align: "left", baseline: "middle", dx: 4, fontSize: 11, color: "#444444" },
    encoding: {
      x: { ...timeChannel(timeline, "from"), axis },
      y: { value: 9 },
      text: { field: "phase" },
    },
  };
  const encoding = { ...bands.encoding, x: { ...bands.encoding.x, axis } };
  return { width: WIDTH, height: 18, layer: [{ ...bands, encoding }, names] };
}

function nameWidth(phase: PhaseName): number {
  return phase.length * LETTER_WIDTH + NAME_MARGIN;
}

function bandsLayer(timeline: Timeline): Layer {
  const bands = timeline.phases.map(({ phase, from, to }) => {
    return { from, to, colour: phaseColours[phase] ?? "#ffffff" };
  });
  return {
    data: { values: bands },
    mark: { type: "rect" },
    encoding: {
      x: timeChannel(timeline, "from"),
      x2: { field: "to" },
      color: { field: "colour", type: "nominal", scale: null },
    },
  };
}

function timeChannel({ endSeconds }: Timeline, field: string) {
  return {
    field,
    type: "quantitative",
    scale: { domain: [0, endSeconds], nice: false },
    title: null,
    axis: { labels: false, ticks: false },
  };
}

function withTimeAxis(layers: readonly Layer[]): Layer[] {
  const title = "seconds from the request";
  return layers.map((layer) => ({
    ...layer,
    encoding: { ...layer.encoding, x: { ...layer.encoding.x, title, axis: {} } },
  }));
}
