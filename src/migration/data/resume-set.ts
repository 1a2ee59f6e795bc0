import { PageBitmap } from "../../pages/index.ts";
import type { Ledger } from "../ledger.ts";
import type { WorkingSetBlock } from "./working-set.ts";

/**
 * The most pages of a resume set, 16 MiB: they lengthen the pause, some 40 ms compressed at 1 Gbit/s. The first
 * thousand requests of several moves united are about as many.
 */
const MOST_PAGES = 4096;

/** Runs that are looked for at once. */
const RUNS_AT_ONCE = 4096;

/**
 * Of those, pages that are there only because the guest wrote to them just before it stopped, 4 MiB: what it writes to
 * all the time, its kernel's and its programs' own, it touches again at once.
 */
const MOST_RECENT_PAGES = 1024;

/** And pages that are there only because the guest was seen working with them, 4 MiB. */
const MOST_WORKING_SET_PAGES = 1024;

/**
 * Which owed pages go before the guest resumes, as many as the pause bears: those that it asked for first after
 * earlier moves, in that order; then those that it wrote to just before it stopped more than once; those that it touched
 * in each of the last looks at its working set; the others that it wrote to; and the rest of its working set.
 * @param learned pairs of RAM block and page; of another machine perhaps, so nothing in it is trusted
 * @param readable whether a RAM block's contents can be read when they are sent
 */
export function resumeSetOf(
  ledger: Ledger,
  learned: Uint32Array,
  readable: (block: number) => boolean,
  workingSet: readonly WorkingSetBlock[] | null = null,
): { readonly bitmaps: readonly PageBitmap[]; readonly pages: number } {
  const bitmaps = ledger.blocks.map((block) => new PageBitmap(block.pages));
  let pages = 0;
  for (let index = 0; index + 1 < learned.length && pages < MOST_PAGES; index += 2) {
    const block = ledger.blocks[learned[index]!];
    const page = learned[index + 1]!;
    if (block === undefined || page >= block.pages || !readable(learned[index]!)) continue;
    // A zero page is there only when it is sent: until then the guest waits for it like for any other.
    if (block.zero.clear(page)) block.owed.set(page);
    if (!block.owed.has(page)) continue;
    if (!bitmaps[learned[index]!]!.set(page)) continue;
    pages += 1;
  }
  /** Adds owed pages of these sets, one a RAM block, but no more than `most`. @returns how many came in */
  const add = (sets: readonly (PageBitmap | undefined)[], most: number): number => {
    let added = 0;
    for (const [index, block] of ledger.blocks.entries()) {
      const set = sets[index];
      if (set === undefined || !readable(index)) continue;
      const left = Math.max(0, Math.min(most - added, MOST_PAGES - pages - added));
      const scratch = new Uint32Array(2 * left);
      const end = Math.min(block.pages, set.pageCount);
      const runCount = set.readRuns(0, end, left, scratch, { only: block.owed, except: bitmaps[index] });
      for (let run = 0; run < runCount; run++) {
        const first = scratch[2 * run]!;
        added += bitmaps[index]!.setRange(first, first + scratch[2 * run + 1]!);
      }
    }
    pages += added;
    return added;
  };
  const written = (kind: "frequent" | "recent") => ledger.blocks.map((block) => block[kind]);
  const worked = (kind: "steady" | "touched") =>
    ledger.blocks.map(({ name }) => workingSet?.find((block) => block.name === name)?.[kind]);
  const writtenPages = add(written("frequent"), MOST_RECENT_PAGES);
  const workedPages = add(worked("steady"), MOST_WORKING_SET_PAGES);
  add(written("recent"), MOST_RECENT_PAGES - writtenPages);
  add(worked("touched"), MOST_WORKING_SET_PAGES - workedPages);
  return { bitmaps, pages };
}

/** What the destination was sent and must forget, since it is owed again: pairs of first page and count, by block. */
export function discardsOf(ledger: Ledger): { readonly block: number; readonly runs: Uint32Array }[] {
  return ledger.blocks.flatMap(({ owed, sent, pages }, block) => {
    const runs: number[] = [];
    const scratch = new Uint32Array(2 * RUNS_AT_ONCE);
    for (let from = 0; from < pages; ) {
      const count = owed.readRuns(from, pages, pages, scratch, { only: sent });
      for (let word = 0; word < 2 * count; word++) runs.push(scratch[word]!);
      if (count < RUNS_AT_ONCE) break;
      from = scratch[2 * count - 2]! + scratch[2 * count - 1]!;
    }
    return runs.length === 0 ? [] : [{ block, runs: Uint32Array.from(runs) }];
  });
}
