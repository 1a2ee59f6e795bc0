import type { Config } from "vega-lite";

const ink = "#222222";
const faint = "#e6e6e6";

/** How every chart looks: little ink, no frame, thin grid lines behind the data. */
export const chartConfig: Config = {
  background: "#ffffff",
  padding: 10,
  font: "Helvetica, Arial, 'DejaVu Sans', sans-serif",
  view: { stroke: null },
  title: { anchor: "start", fontSize: 13, fontWeight: "bold", color: ink, offset: 10 },
  axis: {
    labelColor: ink,
    titleColor: ink,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: "normal",
    gridColor: faint,
    domainColor: "#999999",
    tickColor: "#999999",
    titlePadding: 8,
  },
  axisY: { domain: false, ticks: false, tickCount: 6 },
  axisX: { grid: false, tickCount: 6, labelFlush: false },
  legend: {
    title: null,
    labelFontSize: 11,
    labelColor: ink,
    symbolSize: 70,
    symbolStrokeWidth: 2,
    rowPadding: 4,
    labelLimit: 320,
    symbolFillColor: "white",
    symbolOpacity: 1,
  },
  header: { title: null, labelFontSize: 12, labelFontWeight: "bold", labelAnchor: "start" },
};
