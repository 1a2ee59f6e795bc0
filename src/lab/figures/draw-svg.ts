import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { chartConfig } from "./chart-theme.ts";

/** A chart in the language of Vega-Lite, as plain data. What Vega-Lite does not understand shows when it is drawn. */
export type Chart = Readonly<Record<string, unknown>>;

/**
 * Draws a chart as SVG text, without a canvas and without anything from outside. The same chart gives the same text.
 * @throws Error when Vega-Lite had to ignore a part of it
 */
export async function drawSvg(chart: Chart): Promise<string> {
  const warnings: string[] = [];
  const note = (...words: readonly unknown[]) => {
    warnings.push(words.join(" "));
    return logger;
  };
  const silent = () => logger;
  const logger = { level: () => logger, error: note, warn: note, info: silent, debug: silent } as never;
  const { spec } = compile({ ...chart, config: chartConfig } as unknown as TopLevelSpec, { logger });
  if (warnings.length > 0) throw new Error(`the chart is not as it was meant: ${warnings.join("; ")}`);
  const view = new View(parse(spec), { renderer: "none" });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}
