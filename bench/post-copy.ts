/**
 * Post-copy and hybrid beside stock QEMU: what a client outside sees, and what the guest waits for; and which sources of
 * the resume set pay for their bytes. Each run is kept as a line of `bench/results/post-copy.jsonl` or
 * `resume-set.jsonl` and not made again; the tables there and in `docs/post-copy.md` are drawn from these files.
 *
 *     node bench/post-copy.ts [--repeats 3] [--only TEXT] [--draw]
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chosen, readLines, runCells } from "./cells.ts";
import { replaceMarked } from "./marked.ts";
import { comparisonCells, comparisonTable } from "./post-copy/comparison.ts";
import { paperTable } from "./post-copy/paper.ts";
import { resumeSetCells, resumeSetTable } from "./post-copy/resume-set.ts";

const folder = join(import.meta.dirname, "results");
const comparisonPath = join(folder, "post-copy.jsonl");
const resumeSetPath = join(folder, "resume-set.jsonl");
const document = join(import.meta.dirname, "../docs/post-copy.md");

const { values } = parseArgs({
  options: { repeats: { type: "string", default: "3" }, only: { type: "string" }, draw: { type: "boolean" } },
});
if (values.draw !== true) {
  runCells(chosen(comparisonCells(), values.only), comparisonPath, Number(values.repeats));
  runCells(chosen(resumeSetCells(), values.only), resumeSetPath, Number(values.repeats));
}
const comparison = readLines(comparisonPath);
for (const [name, drawn] of [
  ["post-copy.md", comparisonTable(comparison)],
  ["resume-set.md", resumeSetTable(readLines(resumeSetPath))],
] as const) {
  writeFileSync(join(folder, name), drawn);
  process.stdout.write(`${drawn}\n`);
}
replaceMarked(document, "paper", paperTable(comparison));
