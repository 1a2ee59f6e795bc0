import type { Cell } from "./cell.ts";
import type { Chart } from "./draw-svg.ts";
import type { Results } from "./results.ts";

/** The two grids: one to see that all works, one to rely on. */
export const gridNames = ["quick", "full"] as const;

/** The name of one. */
export type Grid = (typeof gridNames)[number];

/** A table of the report; the first row names the columns. */
export interface Table {
  readonly title: string;
  readonly rows: readonly (readonly string[])[];
}

/** Whether what was measured agrees with what is expected; null where too little was measured to tell. */
export type Agreement = boolean | null;

/** A figure, drawn from results. */
export interface Drawn {
  /** By what is appended to the file's name: mostly one, with an empty name. None where nothing was measured. */
  readonly charts: Readonly<Record<string, Chart>>;
  /** What the figure shows, from the figures themselves. */
  readonly sentence: string;
  readonly agrees: Agreement;
  readonly tables: readonly Table[];
}

/** One figure: what is measured for it and how it is drawn. */
export interface Figure {
  readonly number: number;
  /** The file's name without its ending. */
  readonly name: string;
  readonly title: string;
  /** What such a figure is expected to show, from how the methods work: the papers themselves are not at hand. */
  readonly expected: string;
  cells(grid: Grid): readonly Cell[];
  draw(grid: Grid, results: Results): Drawn;
}

/** Of a figure for which nothing was measured. */
export const notMeasured: Drawn = {
  charts: {},
  sentence: "Not measured: there are no runs of this figure among the results.",
  agrees: null,
  tables: [],
};
