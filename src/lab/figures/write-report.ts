import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cell, distinctCells, settingsKeyOf } from "./cell.ts";
import { drawSvg } from "./draw-svg.ts";
import type { Figure, Grid } from "./figure.ts";
import { judge, judgeCells } from "./judge.ts";
import { type DrawnFigure, reportHtml } from "./report.ts";
import type { Results } from "./results.ts";

/** What is drawn, and where it goes. */
export interface WriteReportOptions {
  readonly grid: Grid;
  readonly results: Results;
  readonly figures: readonly Figure[];
  readonly withJudge: boolean;
  readonly folder: string;
  readonly command: string;
}

/** Draws figures from results into a folder, one SVG per chart and `report.html`. Resolves with the paths. */
export async function writeReport(options: WriteReportOptions): Promise<string[]> {
  const { grid, results, figures, withJudge, folder, command } = options;
  mkdirSync(folder, { recursive: true });
  const paths: string[] = [];
  const drawnFigures: DrawnFigure[] = [];
  for (const figure of figures) {
    const drawn = figure.draw(grid, results);
    const svgs: Record<string, string> = {};
    for (const [name, chart] of Object.entries(drawn.charts)) {
      const svg = await drawSvg(chart);
      const path = join(folder, `${figure.name}${name === "" ? "" : `-${name}`}.svg`);
      writeFileSync(path, svg);
      paths.push(path);
      svgs[name] = svg;
    }
    drawnFigures.push({ figure, drawn, svgs });
  }
  const cells = distinctCells(cellsOf(figures, withJudge, grid));
  const shown = new Set(cells.map(settingsKeyOf));
  const html = reportHtml({
    ...{ grid, results, figures: drawnFigures, command },
    cells: cells.length,
    runs: results.runs.filter(({ settingsKey }) => shown.has(settingsKey)),
    judged: withJudge ? judge(grid, results) : null,
  });
  const path = join(folder, "report.html");
  writeFileSync(path, html);
  return [...paths, path];
}

/** The cells of figures, and of the judge's table where it is asked for. */
export function cellsOf(figures: readonly Figure[], withJudge: boolean, grid: Grid): Cell[] {
  return [...figures.flatMap((figure) => figure.cells(grid)), ...(withJudge ? judgeCells(grid) : [])];
}
