/**
 * The foundation's figures: Godwit's pre-copy beside stock QEMU and stock QEMU with multifd and zstd, on the same
 * link; and what the agents cost in processor time. Each run is kept as a line of `bench/results/foundation.jsonl`; a run that is there is not made again, so an
 * interrupted benchmark goes on where it was. The table is drawn from that file.
 *
 *     node bench/foundation.ts [--repeats 3] [--only TEXT] [--draw]
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type LabMedians, mediansOf } from "../src/lab/medians.ts";
import { type Cell, type Line, readLines, runCells, shown } from "./cells.ts";
import { partsAlone } from "./parts-alone.ts";

const folder = join(import.meta.dirname, "results");
const resultsPath = join(folder, "foundation.jsonl");
const tablePath = join(folder, "foundation.md");

const engines = {
  godwit: ["--engine", "godwit"],
  qemu: ["--engine", "qemu"],
  "qemu multifd+zstd": [
    ...["--engine", "qemu", "--capabilities", "multifd"],
    ...["--parameters", "multifd-compression=zstd,multifd-channels=2"],
  ],
} as const;

const guest = [
  "--memory",
  "2GiB",
  "--content",
  "text",
  "--free-memory",
  "untouched",
  "--qemu",
  "10.0",
  "--exact-memory",
];
const common = [...guest, "--hot", "64MiB", "--link", "1Gbit/s"];

const { values } = parseArgs({
  options: { repeats: { type: "string", default: "3" }, only: { type: "string" }, draw: { type: "boolean" } },
});
const cells = allCells().filter(({ name }) => values.only === undefined || name.includes(values.only));
if (values.draw !== true) runCells(cells, resultsPath, Number(values.repeats));
writeFileSync(tablePath, table(readLines(resultsPath)));
process.stdout.write(`${table(readLines(resultsPath))}\n`);

function allCells(): Cell[] {
  return [...comparisonCells(), ...costCells()];
}

function comparisonCells(): Cell[] {
  const rows = ["50%", "75%", "0%"].flatMap((hold) => ["60MB/s", "0"].map((dirty) => ({ hold, dirty })));
  return rows.flatMap(({ hold, dirty }) =>
    Object.entries(engines).map(([engine, options]) => {
      const row = `holds ${hold}, dirties ${dirty}`;
      // What is dirtied must be held: an empty guest with a dirtier holds just its hot area.
      const held = hold === "0%" && dirty !== "0" ? "64MiB" : hold;
      return {
        name: `${row}: ${engine}`,
        row,
        engine,
        options: [...options, ...common, "--hold", held, "--dirty", dirty],
      };
    }),
  );
}

/** A quiet guest that holds half of its memory: what moving a gigabyte costs the agents. */
function costCells(): Cell[] {
  return ["1Gbit/s", "unlimited"].flatMap((link) =>
    ["none", "zstd"].map((compression) => {
      const row = `link ${link}, compression ${compression}`;
      const options = [
        "--engine",
        "godwit",
        ...guest,
        "--hold",
        "50%",
        "--link",
        link,
        "--compression",
        compression,
      ];
      return { name: `${row}: godwit`, row, engine: "godwit", options };
    }),
  );
}

function table(lines: readonly Line[]): string {
  const { machine, versions } = lines[0]?.result ?? {};
  return [
    "# Godwit's pre-copy beside stock QEMU, 1 Gbit/s",
    "",
    `Medians. ${machine?.processor}, ${machine?.cores} cores, QEMU ${versions?.qemu} (TCG), Node ${versions?.node}.`,
    "A guest of 2 GiB holds text-like content; what it does not hold was never used. The total of Godwit includes",
    "starting the destination's QEMU, that of stock QEMU does not. Pause seen is the client's longest silence around",
    "the switchover. Raw results with the command of each: `foundation.jsonl`. Made by `node bench/foundation.ts`.",
    "",
    "| guest | engine | runs | total s | of it set-up s | downtime ms | pause seen ms | MB on the wire | rounds | verified |",
    "|---|---|---|---|---|---|---|---|---|---|",
    ...rows(comparisonCells(), lines, (of) => [
      shown(of.totalMs === null ? null : of.totalMs / 1000, 1),
      shown(of.setupMs === null ? null : of.setupMs / 1000, 1),
      shown(of.downtimeMs, 0),
      shown(of.switchoverPauseSeenMs, 0),
      shown(of.bytesOnWire / 1e6, 0),
      String(of.rounds),
      of.guestVerified === true ? "yes" : "NO",
    ]),
    "",
    "## What the agents cost",
    "",
    "Processor seconds of both agents with their data processes per GB of guest memory sent; the guest holds 1 GiB",
    "and is quiet.",
    "",
    "| | engine | runs | live s | GB sent | source CPU s/GB | destination CPU s/GB |",
    "|---|---|---|---|---|---|---|",
    ...rows(costCells(), lines, (of) => {
      const gigabytes = (of.pages.sent * 4096) / 1e9;
      const perGigabyte = (seconds: number | null) => shown(seconds === null ? null : seconds / gigabytes, 2);
      return [
        shown(of.liveMs === null ? null : of.liveMs / 1000, 1),
        shown(gigabytes, 2),
        perGigabyte(of.cpu.sourceSeconds),
        perGigabyte(of.cpu.destinationSeconds),
      ];
    }),
    "",
    ...partsAlone(folder),
  ].join("\n");
}

function rows(wanted: Cell[], lines: readonly Line[], figures: (of: LabMedians) => string[]): string[] {
  return wanted.flatMap((cell) => {
    const own = lines.filter((line) => line.cell === cell.name).map(({ result }) => result);
    if (own.length === 0) return [];
    const medians = mediansOf(own);
    return [`| ${cell.row} | ${cell.engine} | ${medians.moves} | ${figures(medians).join(" | ")} |`];
  });
}
