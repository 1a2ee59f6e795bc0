import { baseGuest } from "./base-guest.ts";
import { type ContenderId, contenders, liveContenders } from "./contenders.ts";
import { hasArrived } from "./kept-run.ts";
import { downtimeMs, liveSeconds, totalSeconds } from "./metrics.ts";
import { mediansOver } from "./sweep.ts";
import { sweepFigure } from "./sweep-figure.ts";
import { ends, msText, secondsText } from "./words.ts";

/** The area stays as it is: at the highest rate it is more than the link carries within the downtime limit. */
const withDirty = (grid: "quick" | "full", rates: readonly number[]) =>
  rates.map((x) => ({
    x,
    settings: x === 0 ? baseGuest[grid] : { ...baseGuest[grid], dirty: `${x}MB/s` },
  }));

const withLivePhase: readonly ContenderId[] = liveContenders.filter((id) => !id.endsWith("post-copy"));

/** Figure 7: dirty rate against total time, pre-copy time and downtime. */
export const dirtyRateFigure = sweepFigure({
  number: 7,
  name: "figure-07-dirty-rate",
  title: "Dirty rate against total time, pre-copy time and downtime",
  expected:
    "The more the guest dirties, the longer pre-copy takes and the longer the guest stands still; where it dirties faster than the link carries, pre-copy does not end by itself.",
  sweep: {
    axis: { title: "dirty rate of the guest, MB/s", scale: "linear" },
    contenders: liveContenders,
    points: { quick: withDirty("quick", [0, 60]), full: withDirty("full", [0, 60, 200]) },
    panels: [
      { title: "Total time, s", scale: "linear", contenders: liveContenders, value: totalSeconds },
      { title: "Pre-copy time, s", scale: "linear", contenders: withLivePhase, value: liveSeconds },
      { title: "Downtime, ms", scale: "log", contenders: liveContenders, value: downtimeMs },
    ],
  },
  tell(all) {
    const stock = ends(mediansOver(all, "qemu", totalSeconds));
    const ours = ends(mediansOver(all, "pre-copy", totalSeconds));
    const down = ends(mediansOver(all, "hybrid", downtimeMs));
    if (stock === null || ours === null) return { sentence: "Too few points to compare.", agrees: null };
    const failed = liveContenders.filter((id) =>
      all.some(({ contender, runs }) => contender === id && runs.some((run) => !hasArrived(run))),
    );
    const failures =
      failed.length === 0
        ? "Every run arrived."
        : `Not every run arrived with ${failed.map((id) => contenders[id].label).join(", ")}.`;
    const hybrid =
      down === null ? "" : ` Hybrid's downtime goes from ${msText(down.from)} to ${msText(down.to)}.`;
    const sentence =
      `From ${stock.fromX} to ${stock.toX} MB/s the total of stock pre-copy goes from ${secondsText(stock.from)} to ` +
      `${secondsText(stock.to)}, that of Godwit's pre-copy (up to ${ours.toX} MB/s) from ${secondsText(ours.from)} to ` +
      `${secondsText(ours.to)}.${hybrid} ${failures}`;
    return { sentence, agrees: stock.times > 1.05 || failed.includes("qemu") };
  },
});
