import { liveContenders } from "./contenders.ts";
import { memoryAxis, memoryPoints } from "./memory-points.ts";
import { downtimeMs } from "./metrics.ts";
import { mediansOver } from "./sweep.ts";
import { sweepFigure } from "./sweep-figure.ts";
import { ends, growsWithX, msText } from "./words.ts";

/** Figure 4: memory size against pre-copy downtime. */
export const preCopyDowntimeFigure = sweepFigure({
  number: 4,
  name: "figure-04-pre-copy-downtime",
  title: "Memory size against pre-copy downtime",
  expected: "The downtime of pre-copy hardly depends on the size of the memory.",
  sweep: {
    axis: memoryAxis,
    contenders: liveContenders,
    points: memoryPoints,
    panels: [
      {
        title: "Downtime (STOP to RESUME), ms",
        scale: "log",
        contenders: liveContenders,
        value: downtimeMs,
      },
    ],
  },
  tell(all) {
    const stock = ends(mediansOver(all, "qemu", downtimeMs));
    const ours = ends(mediansOver(all, "pre-copy", downtimeMs));
    if (stock === null || ours === null) return { sentence: "Too few points to compare.", agrees: null };
    const size = stock.toX / stock.fromX;
    const sentence =
      `With ${size} times the memory the downtime of stock pre-copy goes from ${msText(stock.from)} to ` +
      `${msText(stock.to)}, that of Godwit's pre-copy from ${msText(ours.from)} to ${msText(ours.to)}.`;
    return { sentence, agrees: !growsWithX(stock) && !growsWithX(ours) };
  },
});
