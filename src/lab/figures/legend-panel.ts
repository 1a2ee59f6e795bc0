import { type ContenderId, contenders } from "./contenders.ts";

const ROW_HEIGHT = 21;
const SAMPLE_WIDTH = 34;

/** The contenders as a panel of its own: colour, dash and shape of each in one sample, as they are in the lines. */
export function legendPanel(shown: readonly ContenderId[]) {
  const rows = shown.map((id, at) => {
    const { label, colour, dash, shape } = contenders[id];
    return { label, colour, dash, shape, y: 10 + at * ROW_HEIGHT, from: 0, to: SAMPLE_WIDTH };
  });
  const pixel = (field: string) => ({ field, type: "quantitative", scale: null, axis: null });
  const own = (field: string) => ({ field, type: "nominal", scale: null });
  return {
    width: 190,
    height: Math.max(1, rows.length) * ROW_HEIGHT,
    data: { values: rows },
    layer: [
      {
        mark: { type: "rule", strokeWidth: 2 },
        encoding: {
          x: pixel("from"),
          x2: { field: "to" },
          y: pixel("y"),
          color: own("colour"),
          strokeDash: own("dash"),
        },
      },
      {
        mark: { type: "point", size: 55, fill: "white", strokeWidth: 2, opacity: 1 },
        encoding: {
          x: { value: SAMPLE_WIDTH / 2 },
          y: pixel("y"),
          stroke: own("colour"),
          shape: own("shape"),
        },
      },
      {
        mark: { type: "text", align: "left", baseline: "middle", fontSize: 12, color: "#222222" },
        encoding: { x: { value: SAMPLE_WIDTH + 8 }, y: pixel("y"), text: { field: "label" } },
      },
    ],
  };
}
