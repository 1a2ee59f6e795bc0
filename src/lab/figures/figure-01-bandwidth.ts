import { baseGuest } from "./base-guest.ts";
import { everyContender, liveContenders } from "./contenders.ts";
import { crossoverText } from "./crossover.ts";
import { liveSeconds, totalSeconds } from "./metrics.ts";
import type { Sweep } from "./sweep.ts";
import { mediansOver } from "./sweep.ts";
import { sweepFigure } from "./sweep-figure.ts";
import { bandwidthText, ends, secondsText } from "./words.ts";

/** The runs that the crossover is read from, too. */
export const bandwidthSweep: Sweep = {
  axis: { title: "bandwidth of the link, Mbit/s", scale: "log" },
  contenders: ["qemu-multifd", ...everyContender],
  points: {
    quick: [
      {
        x: 200,
        settings: { ...baseGuest.quick, link: "200Mbit/s" },
        contenders: ["qemu", "qemu-zstd", "pre-copy", "hybrid", "auto"],
      },
      { x: 1000, settings: baseGuest.quick },
    ],
    full: [
      { x: 200, settings: { ...baseGuest.full, link: "200Mbit/s" } },
      { x: 500, settings: { ...baseGuest.full, link: "500Mbit/s" } },
      { x: 1000, settings: baseGuest.full },
      { x: 10_000, settings: { ...baseGuest.full, link: "10Gbit/s" } },
    ],
  },
  panels: [
    {
      title: "Pre-copy time, s",
      scale: "log",
      contenders: liveContenders.filter((id) => !id.endsWith("post-copy")),
      value: liveSeconds,
    },
    {
      title: "Total time, s",
      scale: "log",
      contenders: ["qemu-multifd", ...everyContender],
      value: totalSeconds,
    },
  ],
};

/** Figure 1: bandwidth against pre-copy time and total time. */
export const bandwidthFigure = sweepFigure({
  number: 1,
  name: "figure-01-bandwidth",
  title: "Bandwidth against pre-copy time and total time",
  expected:
    "Both times fall as the bandwidth grows, about as its inverse as long as the link is what limits.",
  sweep: bandwidthSweep,
  tell(all) {
    const stock = ends(mediansOver(all, "qemu", totalSeconds));
    const ours = ends(mediansOver(all, "pre-copy", totalSeconds));
    if (stock === null || ours === null) {
      return { sentence: "Too few points to compare.", agrees: null };
    }
    const range = `From ${bandwidthText(stock.fromX)} to ${bandwidthText(stock.toX)}`;
    const sentence =
      `${range} the total of stock pre-copy goes from ${secondsText(stock.from)} to ${secondsText(stock.to)}, ` +
      `that of Godwit's pre-copy from ${secondsText(ours.from)} to ${secondsText(ours.to)}. ` +
      crossoverText(all, "pre-copy");
    return { sentence, agrees: stock.times < 0.9 };
  },
});
