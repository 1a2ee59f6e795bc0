import { memoryAxis, memoryPoints } from "./memory-points.ts";
import { downtimeMs, totalSeconds } from "./metrics.ts";
import { mediansOver } from "./sweep.ts";
import { sweepFigure } from "./sweep-figure.ts";
import { ends, growsWithX, secondsText } from "./words.ts";

const both = ["qemu-stop-and-copy", "stop-and-copy"] as const;

/** Figure 2: memory size against stop-and-copy time and downtime. */
export const stopAndCopyFigure = sweepFigure({
  number: 2,
  name: "figure-02-stop-and-copy",
  title: "Memory size against stop-and-copy time and downtime",
  expected: "Stop-and-copy takes a time proportional to the memory, and all of it is downtime.",
  sweep: {
    axis: memoryAxis,
    contenders: both,
    points: memoryPoints,
    panels: [
      { title: "Stop-and-copy: total time, s", scale: "linear", contenders: both, value: totalSeconds },
      {
        title: "Stop-and-copy: downtime, s",
        scale: "linear",
        contenders: both,
        value: (result) => (result.downtimeMs === null ? null : result.downtimeMs / 1000),
      },
    ],
  },
  tell(all) {
    const stock = ends(mediansOver(all, "qemu-stop-and-copy", totalSeconds));
    const ours = ends(mediansOver(all, "stop-and-copy", totalSeconds));
    const stockDown = ends(mediansOver(all, "qemu-stop-and-copy", downtimeMs));
    const oursDown = ends(mediansOver(all, "stop-and-copy", downtimeMs));
    if (stock === null || ours === null || stockDown === null || oursDown === null) {
      return { sentence: "Too few points to compare.", agrees: null };
    }
    const size = stock.toX / stock.fromX;
    const sentence =
      `With ${size} times the memory stock stop-and-copy takes ${stock.times.toFixed(1)} times as long ` +
      `(${secondsText(stock.from)} to ${secondsText(stock.to)}), of which ${secondsText(stockDown.to / 1000)} are downtime at ` +
      `${stock.toX} MiB; Godwit's goes from ${secondsText(ours.from)} to ${secondsText(ours.to)} with ` +
      `${secondsText(oursDown.to / 1000)} of downtime, its set-up before the stop included in the total only.`;
    return { sentence, agrees: growsWithX(stock) && stockDown.to / 1000 > stock.to * 0.8 };
  },
});
