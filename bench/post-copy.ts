/**
 * Post-copy and hybrid beside stock QEMU: what a client outside sees, and what the guest waits for; and which sources of
 * the resume set pay for their bytes. Each run is kept as a line of `bench/results/post-copy.jsonl` or
 * `resume-set.jsonl` and not made again; the tables are drawn from these files.
 *
 *     node bench/post-copy.ts [--repeats 3] [--only TEXT] [--draw]
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { mediansOf } from "../src/lab/medians.ts";
import { resumeSetSources } from "../src/migration/settings.ts";
import { type Cell, chosen, readLines, runCells, shown } from "./cells.ts";

const folder = join(import.meta.dirname, "results");
const resultsPath = join(folder, "post-copy.jsonl");
const tablePath = join(folder, "post-copy.md");
const resumeSetPath = join(folder, "resume-set.jsonl");
const resumeSetTablePath = join(folder, "resume-set.md");

const engines: Readonly<Record<string, readonly string[]>> = {
  "qemu pre-copy": ["--engine", "qemu"],
  "qemu post-copy": ["--engine", "qemu", "--strategy", "post-copy"],
  "godwit pre-copy": ["--strategy", "pre-copy"],
  "godwit post-copy": ["--strategy", "post-copy"],
  "godwit hybrid": ["--strategy", "hybrid"],
  "godwit auto": ["--strategy", "auto"],
};

const loads: Readonly<Record<string, readonly string[]>> = {
  "reads 200 MB/s": ["--read", "200MB/s"],
  "dirties 60 MB/s over 64 MiB": ["--dirty", "60MB/s", "--hot", "64MiB"],
  "dirties 200 MB/s over 512 MiB": ["--dirty", "200MB/s", "--hot", "512MiB"],
};

/** One-way delays: 0, 1 and 10 ms of round trip. */
const delays = ["0ms", "0.5ms", "5ms"] as const;

const guest = [
  ...["--memory", "2GiB", "--hold", "50%", "--content", "text", "--free-memory", "untouched"],
  ...["--qemu", "10.0", "--exact-memory", "--link", "1Gbit/s"],
];

/** What the resume set may be made of: each source alone, with its neighbourhood, and together. */
const resumeSets = [
  ...["none", "learned", "kernel", "written", "working-set"],
  ...["learned,neighbourhood", "kernel,neighbourhood", "learned,kernel", "learned,kernel,neighbourhood"],
  resumeSetSources.join(","),
];

const resumeSetStrategies = ["post-copy", "hybrid"] as const;

/** The second move of a guest, which has been asked for pages before, over a round trip that makes a fault dear. */
const resumeSetGuest = [
  ...["--memory", "1GiB", "--hold", "50%", "--content", "text", "--free-memory", "untouched"],
  ...["--qemu", "10.0", "--exact-memory", "--link", "1Gbit/s", "--latency", "0.5ms"],
  ...["--dirty", "30MB/s", "--hot", "64MiB", "--round-trips", "1"],
];

const { values } = parseArgs({
  options: { repeats: { type: "string", default: "3" }, only: { type: "string" }, draw: { type: "boolean" } },
});
const all = allCells();
const sources = resumeSetCells();
if (values.draw !== true) {
  runCells(chosen(all, values.only), resultsPath, Number(values.repeats));
  runCells(chosen(sources, values.only), resumeSetPath, Number(values.repeats));
}
for (const [path, drawn] of [
  [tablePath, table()],
  [resumeSetTablePath, resumeSetTable()],
] as const) {
  writeFileSync(path, drawn);
  process.stdout.write(`${drawn}\n`);
}

function allCells(): Cell[] {
  return delays
    .flatMap((delay) =>
      Object.entries(loads).flatMap(([load, loadOptions]) =>
        Object.entries(engines).map(([engine, options]) => {
          // Stock pre-copy never ends where it can't converge.
          const row = `${load}, delay ${delay}`;
          const more = ["--latency", delay];
          return {
            name: `${row}: ${engine}`,
            row,
            engine,
            options: [...options, ...guest, ...loadOptions, ...more],
          };
        }),
      ),
    )
    .filter(({ engine, row }) => !(engine.endsWith("pre-copy") && row.includes("200 MB/s")));
}

function table(): string {
  const lines = readLines(resultsPath);
  const { machine, versions } = lines[0]?.result ?? {};
  return [
    "# Post-copy and hybrid beside stock QEMU, 1 Gbit/s",
    "",
    `Medians. ${machine?.processor}, ${machine?.cores} cores, QEMU ${versions?.qemu} (TCG), Node ${versions?.node}.`,
    "A guest of 2 GiB holds 1 GiB of text-like content. The delay is one way. Every move is the guest's first, so that",
    "nothing is known of what it asks for. Pause seen is the client's longest silence around the switchover. Pre-copy is",
    "left out where it can't converge. Raw results with the command of each: `post-copy.jsonl`. Made by",
    "`node bench/post-copy.ts`.",
    "",
    "| guest | engine | runs | total s | downtime ms | pause seen ms | MB on the wire | faults | p50 ms | p99 ms | waited ms | verified |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ...all.flatMap((cell) => {
      const own = lines.filter((line) => line.cell === cell.name).map(({ result }) => result);
      if (own.length === 0) return [];
      const of = mediansOf(own);
      const { postcopy } = of;
      const figures = [
        shown(of.totalMs === null ? null : of.totalMs / 1000, 1),
        shown(of.downtimeMs, 0),
        shown(of.switchoverPauseSeenMs, 0),
        shown(of.bytesOnWire / 1e6, 0),
        String(postcopy?.faults ?? of.pages.faulted),
        shown(postcopy === null ? null : postcopy.p50Us / 1000, 1),
        shown(postcopy === null ? null : postcopy.p99Us / 1000, 1),
        shown(postcopy?.stalledMs ?? null, 0),
        of.guestVerified === true ? "yes" : "NO",
      ];
      return [`| ${cell.row} | ${cell.engine} | ${of.moves} | ${figures.join(" | ")} |`];
    }),
    "",
  ].join("\n");
}

function resumeSetCells(): Cell[] {
  return resumeSetStrategies.flatMap((strategy) =>
    resumeSets.map((set) => {
      const row = `resume set, ${strategy}`;
      const options = ["--strategy", strategy, "--resume-set", set, ...resumeSetGuest];
      return { name: `${row}: ${set}`, row, engine: set, options, lastMove: true };
    }),
  );
}

function resumeSetTable(): string {
  const lines = readLines(resumeSetPath);
  const { machine, versions } = lines[0]?.result ?? {};
  return [
    "# Which sources of the resume set pay for their bytes, 1 Gbit/s, 1 ms of round trip",
    "",
    `Medians. ${machine?.processor}, ${machine?.cores} cores, QEMU ${versions?.qemu} (TCG), Node ${versions?.node}.`,
    "A guest of 1 GiB holds 512 MiB of text-like content and dirties 30 MB/s over 64 MiB. Each figure is of a guest's second",
    "move, so that what it asked for after the first is known. Pages are those of the resume set, by the source that named",
    "them first. Waited is the time with at least one fault unanswered; pause seen is the client's longest silence around",
    "the switchover. Raw results with the command of each: `resume-set.jsonl`. Made by `node bench/post-copy.ts --only",
    '"resume set"`.',
    "",
    "| strategy | resume set | runs | pages | learned | kernel | written | working set | near | downtime ms | of it pages ms | faults | p50 ms | waited ms | pause seen ms | MB on the wire | verified |",
    `|${"---|".repeat(17)}`,
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
