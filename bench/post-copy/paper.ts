import { type LabMedians, mediansOf } from "../../src/lab/medians.ts";
import { type Line, shown } from "../cells.ts";
import { comparisonCells } from "./comparison.ts";

/**
 * The table of Sahni and Varma (2012): how long a move prepares while the guest runs at the source, how long the guest
 * stands still, and how long it then lacks pages. Only of runs that completed with a whole guest.
 */
export function paperTable(lines: readonly Line[]): string {
  return [
    "| guest | engine | runs | preparation s | downtime ms | resume s | faults |",
    "|---|---|---|---|---|---|---|",
    ...comparisonCells().flatMap(({ name, row, engine }) => {
      const own = lines
        .filter(({ cell, result }) => cell === name && result.outcome === "completed" && result.guestVerified)
        .map(({ result }) => result);
      if (own.length === 0) return [];
      const of = mediansOf(own);
      const figures = [
        shown(((of.setupMs ?? 0) + (of.liveMs ?? 0)) / 1000, 1),
        shown(of.downtimeMs, 0),
        shown(resumeMs(of) / 1000, 1),
        String(of.postcopy?.faults ?? of.pages.faulted),
      ];
      return [`| ${row} | ${engine} | ${of.moves} | ${figures.join(" | ")} |`];
    }),
  ].join("\n");
}

/** Godwit says it; of stock QEMU it is what the total leaves. None where the guest resumed with all of its pages. */
function resumeMs({ postcopy, strategy, engine, totalMs, setupMs, liveMs, downtimeMs }: LabMedians): number {
  if (engine === "godwit") return postcopy?.remainderMs ?? 0;
  if (strategy !== "post-copy") return 0;
  return Math.max(0, (totalMs ?? 0) - (setupMs ?? 0) - (liveMs ?? 0) - (downtimeMs ?? 0));
}
