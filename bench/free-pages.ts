/**
 * What a guest does not use need not move: Godwit with the guest's driver and with kpageflags beside stock QEMU as it
 * is, with free-page hints and with a balloon. Each run is kept as a line of `bench/results/free-pages.jsonl` and not
 * made again; the table is drawn from that file.
 *
 *     node bench/free-pages.ts [--repeats 1] [--only TEXT] [--draw]
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { mediansOf } from "../src/lab/medians.ts";
import { type Cell, readLines, runCells, shown } from "./cells.ts";

const folder = join(import.meta.dirname, "results");
const resultsPath = join(folder, "free-pages.jsonl");
const tablePath = join(folder, "free-pages.md");

const engines: Readonly<Record<string, readonly string[]>> = {
  "qemu pre-copy": ["--engine", "qemu"],
  "qemu with hints": ["--engine", "qemu", "--free-page-hint"],
  "qemu with hints, init_on_alloc=0": [
    ...["--engine", "qemu", "--free-page-hint"],
    ...["--kernel-parameters", "init_on_alloc=0"],
  ],
  "qemu, balloon to 1 GiB": ["--engine", "qemu", "--balloon", "1GiB"],
  "qemu, balloon to 4 GiB": ["--engine", "qemu", "--balloon", "4GiB"],
  "godwit without": ["--free-pages", "off"],
  "godwit, kpageflags": ["--free-pages", "kpageflags"],
  "godwit, driver": ["--free-pages", "driver"],
};

const memories = ["2GiB", "8GiB"] as const;
const holds = ["0%", "50%", "75%"] as const;
const links = ["1Gbit/s", "unlimited"] as const;

/** Random content: what is counted is pages, not what compression makes of them. */
const guest = ["--content", "random", "--free-memory", "used", "--qemu", "10.0", "--exact-memory"];

const { values } = parseArgs({
  options: { repeats: { type: "string", default: "1" }, only: { type: "string" }, draw: { type: "boolean" } },
});
const all = allCells();
const cells = all.filter(({ name }) => values.only === undefined || name.includes(values.only));
if (values.draw !== true) runCells(cells, resultsPath, Number(values.repeats));
const drawn = table();
writeFileSync(tablePath, drawn);
process.stdout.write(`${drawn}\n`);

function allCells(): Cell[] {
  return memories
    .flatMap((memory) =>
      holds.flatMap((hold) =>
        links.flatMap((link) =>
          Object.entries(engines).map(([engine, options]) => {
            const row = `${memory}, holds ${hold}, ${link}`;
            const more = ["--memory", memory, "--hold", hold, "--link", link];
            return { name: `${row}: ${engine}`, row, engine, options: [...options, ...guest, ...more] };
          }),
        ),
      ),
    )
    .filter(({ engine, row }) => isPossible(engine, row));
}

/** A balloon must leave the guest what it holds and something to run in. */
function isPossible(engine: string, row: string): boolean {
  const [, size] = /balloon to (\d) GiB/.exec(engine) ?? [];
  if (size === undefined) return true;
  const [, memory, hold] = /^(\d)GiB, holds (\d+)%/.exec(row) ?? [];
  const [leftGib, memoryGib] = [Number(size), Number(memory)];
  return leftGib < memoryGib && leftGib > (memoryGib * Number(hold)) / 100;
}

function table(): string {
  const lines = readLines(resultsPath);
  const { machine, versions } = lines[0]?.result ?? {};
  return [
    "# Memory that the guest does not use",
    "",
    `Medians. ${machine?.processor}, ${machine?.cores} cores, QEMU ${versions?.qemu} (TCG), Node ${versions?.node}.`,
    "Held memory has random content. Memory that is free was filled with random content and freed before each move.",
    "A balloon's inflation counts as part of the move; QEMU's set-up does not have it. Raw results with the command of",
    "each: `free-pages.jsonl`. Made by `node bench/free-pages.ts`.",
    "",
    "| guest | engine | runs | MB on the wire | total s | set-up ms | downtime ms | pages free | under locks ms | verified |",
    "|---|---|---|---|---|---|---|---|---|---|",
    ...all.flatMap((cell) => {
      const own = lines.filter((line) => line.cell === cell.name).map(({ result }) => result);
      if (own.length === 0) return [];
      const of = mediansOf(own);
      const figures = [
        shown(of.bytesOnWire / 1e6, 0),
        shown(of.totalMs === null ? null : of.totalMs / 1000, 1),
        shown(of.setupMs, 0),
        shown(of.downtimeMs, 0),
        String(of.pages.free),
        shown(of.freePages?.lockMs ?? null, 2),
        of.guestVerified === true ? "yes" : "NO",
      ];
      return [`| ${cell.row} | ${cell.engine} | ${of.moves} | ${figures.join(" | ")} |`];
    }),
    "",
  ].join("\n");
}
