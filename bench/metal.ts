/**
 * Figures of bare metal: pointer discovery and rebuilt devices by QEMU's own word, what each part of the rebuild is good
 * for, moves in a row, what the monitor costs. Each run is kept as a line of `bench/results/metal-*.jsonl`; a run that
 * is there is not made again, so an interrupted benchmark goes on where it was. The tables are drawn from these files
 * into `bench/results/metal.md`.
 *
 *     node bench/metal.ts [pointers] [devices] [ablations] [moves] [monitor] [--minutes 30] [--draw]
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ablations } from "./metal/ablations.ts";
import { devices } from "./metal/devices.ts";
import { monitor } from "./metal/monitor.ts";
import { moves } from "./metal/moves.ts";
import { pointers } from "./metal/pointers.ts";

/** The longest run that is begun on its own: boot, move and five seconds of judging, all on a slow day. */
const LONGEST_RUN_MS = 45_000;

const parts = [pointers, devices, ablations, moves, monitor];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: "string", default: "60" }, draw: { type: "boolean" } },
});
const unknown = positionals.find((word) => !parts.some(({ name }) => name === word));
if (unknown !== undefined)
  throw new Error(`"${unknown}" is none of ${parts.map(({ name }) => name).join(", ")}`);
const endMs = performance.now() + Number(values.minutes) * 60_000;
const mayBegin = () => performance.now() + LONGEST_RUN_MS < endMs;
const wanted = parts.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
if (values.draw !== true) for (const part of wanted) await part.run(mayBegin);
const table = ["# Bare metal", "", ...parts.flatMap((part) => part.draw())].join("\n");
writeFileSync(join(import.meta.dirname, "results", "metal.md"), table);
process.stdout.write(`${table}\n`);
process.exit(0);
