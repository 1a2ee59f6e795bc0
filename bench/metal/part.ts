import { join } from "node:path";

/** A question about bare metal that is answered by many runs, each kept as a line. */
export interface Part {
  readonly name: string;
  /** Makes the runs that are not kept yet. @param mayBegin says no when a run would end too late */
  run(mayBegin: () => boolean): Promise<void>;
  /** What is kept, as lines of Markdown; none where nothing is. */
  draw(): string[];
}

/** The file that keeps a part's runs. */
export function resultsOf(name: string): string {
  return join(import.meta.dirname, "..", "results", `metal-${name}.jsonl`);
}

/** The middle of some numbers, the upper one of two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** A line of progress. */
export function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}
