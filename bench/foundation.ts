/**
 * The foundation's figures: Godwit's pre-copy beside stock QEMU and stock QEMU with multifd and zstd, on the same
 * link; and what the agents cost in processor time. Each run is kept as a line of `bench/results/foundation.jsonl`; a run that is there is not made again, so an
 * interrupted benchmark goes on where it was. The table is drawn from that file.
 *
 *     node bench/foundation.ts [--repeats 3] [--only TEXT] [--draw]
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { labResultSchema } from "../src/lab/lab-result.ts";
import { type LabMedians, mediansOf } from "../src/lab/medians.ts";

const folder = join(import.meta.dirname, "results");
const resultsPath = join(folder, "foundation.jsonl");
const tablePath = join(folder, "foundation.md");
const labMain = join(import.meta.dirname, "../src/lab/main.ts");

/** One run may take this long: fill, move and check 2 GiB under emulation, all on a slow day. */
const RUN_TIMEOUT_MS = 300_000;

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
const lineSchema = z.object({ cell: z.string(), command: z.string(), result: labResultSchema });
type Line = z.infer<typeof lineSchema>;

interface Cell {
  readonly name: string;
  readonly row: string;
  readonly engine: string;
  readonly options: readonly string[];
}

const { values } = parseArgs({
  options: { repeats: { type: "string", default: "3" }, only: { type: "string" }, draw: { type: "boolean" } },
});
const cells = allCells().filter(({ name }) => values.only === undefined || name.includes(values.only));
mkdirSync(folder, { recursive: true });
if (values.draw !== true) runAll(Number(values.repeats));
writeFileSync(tablePath, table(readLines()));
process.stdout.write(`${table(readLines())}\n`);

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

/** Round by round over all cells, so that a machine that changes its speed changes it for all. */
function runAll(repeats: number): void {
  for (let repeat = 1; repeat <= repeats; repeat++) {
    for (const cell of cells) {
      if (readLines().filter((line) => line.cell === cell.name).length >= repeat) continue;
      process.stderr.write(`${new Date().toISOString()} repeat ${repeat}, ${cell.name} … `);
      const command = `npm run lab -- migrate ${cell.options.join(" ")} --json`;
      const run = spawnSync(process.execPath, [labMain, "migrate", ...cell.options, "--json"], {
        encoding: "utf8",
        timeout: RUN_TIMEOUT_MS,
      });
      const last = run.stdout.trim().split("\n").at(-1) ?? "";
      if (!last.startsWith("{")) {
        process.stderr.write(`no result: ${run.stderr.trim().split("\n").at(-1)}\n`);
        continue;
      }
      const line: Line = { cell: cell.name, command, result: labResultSchema.parse(JSON.parse(last)) };
      appendFileSync(resultsPath, `${JSON.stringify(line)}\n`);
      const { outcome, totalMs, downtimeMs, bytesOnWire } = line.result;
      process.stderr.write(`${outcome}, ${totalMs} ms, down ${downtimeMs} ms, ${bytesOnWire} bytes\n`);
    }
  }
}

function readLines(): Line[] {
  if (!existsSync(resultsPath)) return [];
  return readFileSync(resultsPath, "utf8")
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => lineSchema.parse(JSON.parse(line)));
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
    "| guest | engine | runs | total s | downtime ms | pause seen ms | MB on the wire | rounds | verified |",
    "|---|---|---|---|---|---|---|---|---|",
    ...rows(comparisonCells(), lines, (of) => [
      shown(of.totalMs === null ? null : of.totalMs / 1000, 1),
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

function shown(value: number | null, digits: number): string {
  return value === null ? "–" : value.toFixed(digits);
}
