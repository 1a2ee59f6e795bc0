import type { Agreement } from "./figure.ts";
import { memoryAxis, memoryPoints } from "./memory-points.ts";
import { totalSeconds } from "./metrics.ts";
import { mediansOver } from "./sweep.ts";
import { sweepFigure } from "./sweep-figure.ts";
import { ends, timesText } from "./words.ts";

const stock = ["qemu-stop-and-copy", "qemu"] as const;
const ours = ["stop-and-copy", "pre-copy", "post-copy", "hybrid", "auto"] as const;

/** Figure 5: totals of stop-and-copy and pre-copy side by side. */
export const sideBySideFigure = sweepFigure({
  number: 5,
  name: "figure-05-side-by-side",
  title: "Totals of stop-and-copy and pre-copy side by side",
  expected: "Pre-copy takes longer in total than stop-and-copy, for pages that are dirtied go again.",
  sweep: {
    axis: memoryAxis,
    contenders: [...stock, ...ours],
    points: memoryPoints,
    panels: [
      { title: "Stock QEMU: total time, s", scale: "linear", contenders: stock, value: totalSeconds },
      {
        title: "Godwit, and stock in grey: total time, s",
        scale: "linear",
        contenders: [...stock, ...ours],
        value: totalSeconds,
      },
    ],
  },
  tell(all) {
    const ratioOf = (pre: "qemu" | "pre-copy", stop: "qemu-stop-and-copy" | "stop-and-copy") => {
      const [one, other] = [
        ends(mediansOver(all, pre, totalSeconds)),
        ends(mediansOver(all, stop, totalSeconds)),
      ];
      return one === null || other === null ? null : one.to / other.to;
    };
    const theirs = ratioOf("qemu", "qemu-stop-and-copy");
    const own = ratioOf("pre-copy", "stop-and-copy");
    if (theirs === null || own === null) return { sentence: "Too few points to compare.", agrees: null };
    const agrees = agreementOf([theirs, own]);
    const same =
      agrees === null ? "Up to five per cent count as no difference, so that it is told neither way. " : "";
    const sentence =
      `At the largest size pre-copy takes ${timesText(theirs)} as long as stop-and-copy with stock QEMU and ` +
      `${timesText(own)} with Godwit. ${same}This guest is quiet, so that hardly anything goes again: what it costs to dirty more is ` +
      "in figure 7.";
    return { sentence, agrees };
  },
});

/** Of pre-copy's totals by stop-and-copy's; within five per cent they are the same on this machine. */
function agreementOf(ratios: readonly number[]): Agreement {
  if (ratios.some((ratio) => ratio < 0.95)) return false;
  return ratios.every((ratio) => ratio > 1.05) ? true : null;
}
