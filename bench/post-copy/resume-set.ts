import { mediansOf } from "../../src/lab/medians.ts";
import { resumeSetSources } from "../../src/migration/settings.ts";
import { type Cell, type Line, shown } from "../cells.ts";

/** What the resume set may be made of: each source alone, with its neighbourhood, and together. */
const resumeSets = [
  ...["none", "learned", "kernel", "written", "working-set"],
  ...["learned,neighbourhood", "kernel,neighbourhood", "learned,kernel", "learned,kernel,neighbourhood"],
  ...["zeroed", "learned,kernel,neighbourhood,zeroed"],
  resumeSetSources.join(","),
];

const resumeSetStrategies = ["post-copy", "hybrid"] as const;

/** The second move of a guest, which has been asked for pages before, over a round trip that makes a fault dear. */
const resumeSetGuest = [
  ...["--memory", "512MiB", "--hold", "50%", "--content", "text", "--free-memory", "untouched"],
  ...["--qemu", "10.0", "--exact-memory", "--link", "1Gbit/s", "--latency", "0.5ms"],
  ...["--dirty", "30MB/s", "--hot", "32MiB", "--round-trips", "1"],
];

/** Every resume set with each strategy that knows one. */
export function resumeSetCells(): Cell[] {
  return resumeSetStrategies.flatMap((strategy) =>
    resumeSets.map((set) => {
      const row = `resume set, ${strategy}`;
      const options = ["--strategy", strategy, "--resume-set", set, ...resumeSetGuest];
      return { name: `${row}: ${set}`, row, engine: set, options, lastMove: true };
    }),
  );
}

/** What each costs and spares. */
export function resumeSetTable(lines: readonly Line[]): string {
  const { machine, versions } = lines[0]?.result ?? {};
  return [
    "# Which sources of the resume set pay for their bytes, 1 Gbit/s, 1 ms of round trip",
    "",
    `Medians. ${machine?.processor}, ${machine?.cores} cores, QEMU ${versions?.qemu} (TCG), Node ${versions?.node}.`,
    "A guest of 512 MiB holds 256 MiB of text-like content and dirties 30 MB/s over 32 MiB. Each figure is of a guest's second",
    "move, so that what it asked for after the first is known. Pages are those of the resume set, by the source that named",
    "them first. Waited is the time with at least one fault unanswered; pause seen is the client's longest silence around",
    "the switchover. Raw results with the command of each: `resume-set.jsonl`. Made by `node bench/post-copy.ts --only",
    '"resume set"`.',
    "",
    "| strategy | resume set | runs | pages | learned | kernel | written | working set | near | zeroed | downtime ms | of it pages ms | faults | p50 ms | waited ms | pause seen ms | MB on the wire | verified |",
    `|${"---|".repeat(18)}`,
    ...resumeSetCells().flatMap((cell) => {
      const own = lines.filter((line) => line.cell === cell.name).map(({ result }) => result);
      if (own.length === 0) return [];
      const of = mediansOf(own);
      const { postcopy } = of;
      const bySource = postcopy?.resumeSetBySource;
      const figures = [
        shown(postcopy?.resumeSetPages ?? null, 0),
        ...resumeSetSources.map((source) => shown(bySource?.[source] ?? null, 0)),
        shown(of.downtimeMs, 0),
        shown(of.downtime?.pagesMs ?? null, 0),
        shown(postcopy?.faults ?? null, 0),
        shown(postcopy === null ? null : postcopy.p50Us / 1000, 1),
        shown(postcopy?.stalledMs ?? null, 0),
        shown(of.switchoverPauseSeenMs, 0),
        shown(of.bytesOnWire / 1e6, 0),
        of.guestVerified === true ? "yes" : "NO",
      ];
      return [
        `| ${cell.row.replace("resume set, ", "")} | ${cell.engine} | ${of.moves} | ${figures.join(" | ")} |`,
      ];
    }),
    "",
  ].join("\n");
}
