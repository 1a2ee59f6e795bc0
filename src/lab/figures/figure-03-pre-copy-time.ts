import { liveContenders } from "./contenders.ts";
import { memoryAxis, memoryPoints } from "./memory-points.ts";
import { liveSeconds } from "./metrics.ts";
import { mediansOver } from "./sweep.ts";
import { sweepFigure } from "./sweep-figure.ts";
import { ends, growsWithX, secondsText } from "./words.ts";

/** Figure 3: memory size against pre-copy time. */
export const preCopyTimeFigure = sweepFigure({
  number: 3,
  name: "figure-03-pre-copy-time",
  title: "Memory size against pre-copy time",
  expected: "The time of the live copy grows in proportion to the memory.",
  sweep: {
    axis: memoryAxis,
    contenders: liveContenders,
    points: memoryPoints,
    panels: [
      {
        title: "Pre-copy time (first page to STOP), s",
        scale: "linear",
        contenders: liveContenders,
        value: liveSeconds,
      },
    ],
  },
  tell(all) {
    const stock = ends(mediansOver(all, "qemu", liveSeconds));
    const ours = ends(mediansOver(all, "pre-copy", liveSeconds));
    if (stock === null || ours === null) return { sentence: "Too few points to compare.", agrees: null };
    const size = stock.toX / stock.fromX;
    const sentence =
      `With ${size} times the memory the live copy takes ${stock.times.toFixed(1)} times as long with stock pre-copy ` +
      `(${secondsText(stock.from)} to ${secondsText(stock.to)}) and ${ours.times.toFixed(1)} times with Godwit's ` +
      `(${secondsText(ours.from)} to ${secondsText(ours.to)}). Post-copy stops at once: its line lies at the bottom.`;
    return { sentence, agrees: growsWithX(stock) };
  },
});
