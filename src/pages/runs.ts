import { GodwitError } from "../base/errors.ts";

/**
 * A set of pages of one RAM block as ascending runs: pairs `[firstPage, pageCount, firstPage, pageCount, …]`.
 * Pages are 4 KiB guest pages. An array may be longer than its use, then a number of runs goes with it.
 */
export type Runs = Uint32Array;

/** The pages in the first `runCount` runs. */
export function countPages(runs: Runs, runCount: number = runs.length >>> 1): number {
  let pages = 0;
  for (let index = 0; index < runCount; index++) pages += runs[2 * index + 1]!;
  return pages;
}

/** Each page of the first `runCount` runs, in order. For tests and small sets: hot paths loop by index. */
export function* eachPage(runs: Runs, runCount: number = runs.length >>> 1): Generator<number> {
  for (let index = 0; index < runCount; index++) {
    const first = runs[2 * index]!;
    const end = first + runs[2 * index + 1]!;
    for (let page = first; page < end; page++) yield page;
  }
}

/** The smallest runs that hold exactly these pages, given ascending and without repetition. */
export function runsOf(pages: Iterable<number>): Runs {
  const pairs: number[] = [];
  for (const page of pages) {
    const last = pairs.length - 2;
    if (last >= 0 && pairs[last]! + pairs[last + 1]! === page) pairs[last + 1]!++;
    else pairs.push(page, 1);
  }
  return Uint32Array.from(pairs);
}

/** What runs from outside must keep to. */
export interface RunLimits {
  /** Pages of the RAM block they lie in. */
  readonly pageCount: number;
  /** The most pages they may hold together; the block's size by default. */
  readonly maxPages?: number;
}

/**
 * Checks runs that came from outside: pairs, none empty, ascending without overlap, inside the block.
 * Costs one pass and allocates nothing.
 * @returns how many pages they hold
 * @throws GodwitError `GODWIT_PAGES_BAD_RUNS`
 */
export function checkRuns(runs: Runs, limits: RunLimits): number {
  if (runs.length % 2 !== 0) throw badRuns("an odd number of values");
  let end = 0;
  let pages = 0;
  for (let index = 0; index < runs.length; index += 2) {
    const first = runs[index]!;
    const count = runs[index + 1]!;
    if (count === 0) throw badRuns(`run ${index / 2} is empty`);
    if (first < end)
      throw badRuns(`run ${index / 2} begins at page ${first}, before the last one's end ${end}`);
    end = first + count;
    if (end > limits.pageCount) {
      throw badRuns(`run ${index / 2} ends at page ${end}, the block has ${limits.pageCount}`);
    }
    pages += count;
  }
  if (pages > (limits.maxPages ?? limits.pageCount)) {
    throw badRuns(`they hold ${pages} pages, ${limits.maxPages} are allowed`);
  }
  return pages;
}

function badRuns(what: string): GodwitError {
  return new GodwitError("GODWIT_PAGES_BAD_RUNS", `the runs of pages are wrong: ${what}`);
}
