import { PageBitmap } from "../../pages/index.ts";
import { staleHostPages } from "../host-pages.ts";
import type { Ledger } from "../ledger.ts";
import { type ResumeSetSource, resumeSetSources } from "../resume-set-sources.ts";
import type { KernelPagesBlock } from "./kernel-pages.ts";
import type { WorkingSetBlock } from "./working-set.ts";

/**
 * The most pages of a resume set, 16 MiB: they lengthen the pause, some 40 ms compressed at 1 Gbit/s. The first
 * thousand requests of several moves united are about as many.
 */
const MOST_PAGES = 4096;

/** Runs that are looked for at once. */
const RUNS_AT_ONCE = 4096;

/** Of those, pages that are there only because they are the kernel's, 8 MiB: more than a kernel has ever dirtied. */
const MOST_KERNEL_PAGES = 2048;

/**
 * Pages that are there only because the guest wrote to them just before it stopped, 4 MiB: what it writes to all the
 * time, its kernel's and its programs' own, it touches again at once.
 */
const MOST_RECENT_PAGES = 1024;

/** And pages that are there only because the guest was seen working with them, 4 MiB. */
const MOST_WORKING_SET_PAGES = 1024;

/** Zero pages besides, a bit each on the wire: of a kernel's there are some dozens, and these are two batches. */
const MOST_ZEROED_PAGES = 128;

/**
 * Pages on either side of another one that go with it: the neighbourhood that a fault begins with. What was learned are the
 * faults of earlier moves, each of which spared those around it.
 */
const NEIGHBOURS = 16;

/** What is known of a guest that is about to resume. */
export interface ResumeSetHints {
  /** Pairs of RAM block and page; of another machine perhaps, so nothing in it is trusted. */
  readonly learned: Uint32Array;
  readonly kernel: readonly KernelPagesBlock[] | null;
  readonly workingSet: readonly WorkingSetBlock[] | null;
}

/** Which pages go before the guest resumes. */
export interface ResumeSet {
  /** One a RAM block. */
  readonly bitmaps: readonly PageBitmap[];
  readonly pages: number;
  /** What each source brought that those before it had not. */
  readonly bySource: Readonly<Record<ResumeSetSource, number>>;
}

/**
 * The sources that pay for their bytes: what the guest wrote to last is worth its part of the pause only where nobody
 * says which of it is the kernel's, and its programs' working set nowhere (`docs/post-copy.md` has the measurements).
 */
export function payingSources(kernel: ResumeSetHints["kernel"]): readonly ResumeSetSource[] {
  return ["learned", kernel === null ? "written" : "kernel", "neighbourhood", "zeroed"];
}

/**
 * Which owed pages go before the guest resumes, as many as the pause bears: those that it asked for first after
 * earlier moves, in that order; its kernel's, page tables first; those that it wrote to just before it stopped more
 * than once; those that it touched in each of the last looks at its working set; the others that it wrote to; the rest
 * of its working set; what lies around all of these; and those that are zero though it wrote to them.
 * @param readable whether a RAM block's contents can be read when they are sent
 * @param sources which of these count
 */
export function resumeSetOf(
  ledger: Ledger,
  hints: ResumeSetHints,
  readable: (block: number) => boolean,
  sources: readonly ResumeSetSource[] = resumeSetSources,
): ResumeSet {
  const bitmaps = ledger.blocks.map((block) => new PageBitmap(block.pages));
  const bySource: Record<ResumeSetSource, number> = {
    learned: 0,
    kernel: 0,
    written: 0,
    "working-set": 0,
    neighbourhood: 0,
    zeroed: 0,
  };
  let pages = 0;
  const count = (source: ResumeSetSource, added: number) => {
    bySource[source] += added;
    pages += added;
  };
  /** Adds owed pages of these sets, one a RAM block, until its source has brought `most`. */
  const add = (source: ResumeSetSource, sets: readonly (PageBitmap | undefined)[], most: number) => {
    if (!sources.includes(source)) return;
    for (const [index, block] of ledger.blocks.entries()) {
      const set = sets[index];
      if (set === undefined || !readable(index)) continue;
      const left = Math.max(0, Math.min(most - bySource[source], MOST_PAGES - pages));
      const scratch = new Uint32Array(2 * left);
      const end = Math.min(block.pages, set.pageCount);
      const runCount = set.readRuns(0, end, left, scratch, { only: block.owed, except: bitmaps[index] });
      for (let run = 0; run < runCount; run++) {
        const first = scratch[2 * run]!;
        count(source, bitmaps[index]!.setRange(first, first + scratch[2 * run + 1]!));
      }
    }
  };
  const written = (kind: "frequent" | "recent") => ledger.blocks.map((block) => block[kind]);
  const kernels = (kind: "tables" | "all") =>
    ledger.blocks.map(({ name }) => hints.kernel?.find((block) => block.name === name)?.[kind]);
  const worked = (kind: "steady" | "touched") =>
    ledger.blocks.map(({ name }) => hints.workingSet?.find((block) => block.name === name)?.[kind]);
  if (sources.includes("learned")) count("learned", addLearned(ledger, hints.learned, readable, bitmaps));
  add("kernel", kernels("tables"), MOST_KERNEL_PAGES);
  add("kernel", kernels("all"), MOST_KERNEL_PAGES);
  add("written", written("frequent"), MOST_RECENT_PAGES);
  add("working-set", worked("steady"), MOST_WORKING_SET_PAGES);
  add("written", written("recent"), MOST_RECENT_PAGES);
  add("working-set", worked("touched"), MOST_WORKING_SET_PAGES);
  if (sources.includes("neighbourhood")) add("neighbourhood", bitmaps.map(around), MOST_PAGES);
  if (sources.includes("zeroed")) {
    count("zeroed", addZeroed(ledger, kernels("all"), readable, bitmaps, MOST_ZEROED_PAGES));
    const left = MOST_ZEROED_PAGES - bySource.zeroed;
    count("zeroed", addZeroed(ledger, written("recent"), readable, bitmaps, left));
  }
  return { bitmaps, pages, bySource };
}

/** @returns how many came in */
function addLearned(
  ledger: Ledger,
  learned: Uint32Array,
  readable: (block: number) => boolean,
  bitmaps: readonly PageBitmap[],
): number {
  let added = 0;
  for (let index = 0; index + 1 < learned.length && added < MOST_PAGES; index += 2) {
    const block = ledger.blocks[learned[index]!];
    const page = learned[index + 1]!;
    if (block === undefined || page >= block.pages || !readable(learned[index]!)) continue;
    // A zero page is there only when it is sent: until then the guest waits for it like for any other.
    if (block.zero.clear(page)) block.owed.set(page);
    if (block.owed.has(page) && bitmaps[learned[index]!]!.set(page)) added += 1;
  }
  return added;
}

/**
 * Zero pages of these sets, one a RAM block, that QEMU has named more than once: a kernel zeroes each page before it
 * hands it out, so that such pages are in use, or were and will be again, rings of devices among them. The destination
 * has nothing in their place until they are sent. A whole huge page is too much for one of them.
 * @returns how many came in
 */
function addZeroed(
  ledger: Ledger,
  sets: readonly (PageBitmap | undefined)[],
  readable: (block: number) => boolean,
  bitmaps: readonly PageBitmap[],
  most: number,
): number {
  let added = 0;
  for (const [index, { zero, hot, owed, sent, hostPages, pages }] of ledger.blocks.entries()) {
    const set = sets[index];
    if (set === undefined || hostPages > 1 || !readable(index)) continue;
    const end = Math.min(pages, set.pageCount);
    const next = (from: number) => (from < end ? set.next(from, end, { only: zero, except: sent }) : -1);
    for (let page = next(0); page >= 0 && added < most; page = next(page + 1)) {
      if (!hot.has(page) || !zero.clear(page)) continue;
      owed.set(page);
      bitmaps[index]!.set(page);
      added += 1;
    }
  }
  return added;
}

/** The pages near those of a set, and the set itself. */
function around(set: PageBitmap): PageBitmap {
  const near = new PageBitmap(set.pageCount);
  for (let page = set.next(0); page >= 0; page = page + 1 < set.pageCount ? set.next(page + 1) : -1) {
    near.setRange(Math.max(0, page - NEIGHBOURS), Math.min(set.pageCount, page + NEIGHBOURS + 1));
  }
  return near;
}

/** What the destination was sent and must forget, since it is owed again: pairs of first page and count, by block. */
export function discardsOf(ledger: Ledger): { readonly block: number; readonly runs: Uint32Array }[] {
  return ledger.blocks.flatMap((entry, block) => {
    const { owed, sent, pages, hostPages } = entry;
    const runs: number[] = hostPages === 1 ? [] : staleHostPages(entry);
    const scratch = new Uint32Array(2 * RUNS_AT_ONCE);
    for (let from = 0; hostPages === 1 && from < pages; ) {
      const count = owed.readRuns(from, pages, pages, scratch, { only: sent });
      for (let word = 0; word < 2 * count; word++) runs.push(scratch[word]!);
      if (count < RUNS_AT_ONCE) break;
      from = scratch[2 * count - 2]! + scratch[2 * count - 1]!;
    }
    return runs.length === 0 ? [] : [{ block, runs: Uint32Array.from(runs) }];
  });
}
