/**
 * What a guest does not use need not move: Godwit with the guest's driver, with kpageflags and by the first paper's own
 * protocol, beside stock QEMU as it is, with free-page hints and with a balloon. Each run is kept as a line of
 * `bench/results/free-pages.jsonl` and not made again; the table and the figures are drawn from that file.
 *
 *     node bench/free-pages.ts [--repeats 1] [--only TEXT] [--draw]
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { drawSvg } from "../src/lab/figures/draw-svg.ts";
import { barsOf, chartOf, freePagesBenchmark } from "../src/lab/figures/figure-08-benchmarks.ts";
import type { LabResult } from "../src/lab/lab-result.ts";
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
  "godwit, held-locks": ["--free-pages", "held-locks"],
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
for (const [name, svg] of await figures()) writeFileSync(join(folder, name), svg);

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
    "A balloon's inflation counts as part of the move; QEMU's set-up does not have it. Godwit's set-up has the start of",
    "the destination's QEMU, and the first look at free pages meanwhile. Under locks: all looks together, and the longest",
    "time at a stretch. Raw results with the command of each: `free-pages.jsonl`. Made by `node bench/free-pages.ts`.",
    "",
    ...memories.flatMap((memory) =>
      links
        .filter((link) => lines.some(({ cell }) => isOf(cell.slice(0, cell.lastIndexOf(": ")), memory, link)))
        .map((link) => `![${memory}, ${link}](${figureName(memory, link)})`),
    ),
    "",
    "| guest | engine | runs | MB on the wire | total s | set-up ms | downtime ms | pages free | looks | first look ms | under locks ms | at a stretch ms | KB of lists | verified |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
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
        ...looksOf(own),
        of.guestVerified === true ? "yes" : "NO",
      ];
      return [`| ${cell.row} | ${cell.engine} | ${of.moves} | ${figures.join(" | ")} |`];
    }),
    "",
  ].join("\n");
}

/** What the guest was asked, and what that cost it. */
function looksOf(results: readonly LabResult[]): string[] {
  const told = results.flatMap(({ freePages }) => freePages ?? []);
  type Told = (typeof told)[number];
  const median = (digits: number, value: (figures: Told) => number | undefined) => {
    const values = told.map(value).filter((one) => one !== undefined);
    return shown(values.toSorted((one, other) => one - other)[(values.length - 1) >> 1] ?? null, digits);
  };
  return [
    median(0, ({ looks }) => looks.length),
    median(0, ({ looks }) => looks[0]?.tookMs),
    median(2, ({ lockMs }) => lockMs),
    median(2, ({ looks }) => Math.max(...looks.map(({ longestLockMs }) => longestLockMs))),
    median(1, ({ listBytes }) => listBytes / 1000),
  ];
}

/** A figure for each size of guest and each link: a row of panels for what it holds, a bar for each engine. */
async function figures(): Promise<[name: string, svg: string][]> {
  const bars = barsOf(resultsPath, freePagesBenchmark);
  const order = all.map(({ name }) => name);
  const ofCell = ({ row, engine }: { readonly row: string; readonly engine: string }) => `${row}: ${engine}`;
  bars.sort((one, other) => order.indexOf(ofCell(one)) - order.indexOf(ofCell(other)));
  const drawn = memories.flatMap((memory) =>
    links.map(async (link): Promise<[string, string] | null> => {
      const own = bars.filter(({ row }) => isOf(row, memory, link));
      if (own.length === 0) return null;
      return [figureName(memory, link), await drawSvg(chartOf(freePagesBenchmark, own))];
    }),
  );
  return (await Promise.all(drawn)).filter((one) => one !== null);
}

function isOf(row: string, memory: string, link: string): boolean {
  return row.startsWith(`${memory},`) && row.endsWith(`, ${link}`);
}

function figureName(memory: string, link: string): string {
  return `free-pages-${memory}-${link === "unlimited" ? link : "1gbit"}.svg`.toLowerCase();
}
