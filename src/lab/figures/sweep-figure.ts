import type { Agreement, Drawn, Figure, Grid } from "./figure.ts";
import { notMeasured } from "./figure.ts";
import { type Measured, measured, type Sweep, sweepCells, sweepTables } from "./sweep.ts";
import { sweepChart } from "./sweep-chart.ts";

/** What a figure that varies one setting says of itself, as data. */
export interface SweepFigure extends Pick<Figure, "number" | "name" | "title" | "expected"> {
  readonly sweep: Sweep;
  tell(all: readonly Measured[], grid: Grid): { sentence: string; agrees: Agreement };
}

/** The figure that it makes. */
export function sweepFigure({ sweep, tell, ...about }: SweepFigure): Figure {
  return {
    ...about,
    cells: (grid) => sweepCells(sweep, grid),
    draw: (grid, results): Drawn => {
      const all = measured(sweep, grid, results);
      const chart = sweepChart(sweep, all);
      if (chart === null) return notMeasured;
      return { charts: { "": chart }, tables: sweepTables(sweep, all), ...tell(all, grid) };
    },
  };
}
