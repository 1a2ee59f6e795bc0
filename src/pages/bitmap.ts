import { GodwitError } from "../base/errors.ts";
import { bitRange, lowestBit, onesFrom, popcount } from "./bits.ts";
import type { Runs } from "./runs.ts";

/** Narrows a look at a {@link PageBitmap} by other bitmaps of the same block. */
export interface PageFilter {
  /** Only pages that are in this set too. */
  readonly only?: PageBitmap | undefined;
  /** No pages that are in this set. */
  readonly except?: PageBitmap | undefined;
  /** Nor any that are in this one. */
  readonly norIn?: PageBitmap | undefined;
}

const HEADER_WORDS = 2;
const PAGE_COUNT = 0;
const COUNT = 1;
const ALL = -1;

/** The most pages a set can hold: 4 TiB of guest memory, far above the 1 TiB that Godwit promises. */
export const MAX_PAGES = 2 ** 30;

/**
 * A set of page numbers in shared memory: 1 bit a page, and a summary bit for each 1024 pages so that empty
 * stretches of a 1 TiB guest (32 MiB of bitmap, 32 KiB of summary) are skipped quickly.
 *
 * Any number of threads may change it at once. What {@link set} has put in when it returns is found by the next
 * look, and no page is handed to two takers. Among several *concurrent* takers one may overlook pages for a
 * moment while another tidies the summary; {@link count} never does.
 *
 * Shared layout (32-bit words): page count, pages in the set, summary, bitmap.
 */
export class PageBitmap {
  /** Attach to it in another thread with {@link fromShared}. */
  readonly buffer: SharedArrayBuffer;
  readonly pageCount: number;
  readonly #header: Int32Array;
  readonly #summary: Int32Array;
  readonly #words: Int32Array;

  /**
   * An empty set for a RAM block of `pageCount` 4 KiB pages.
   * @throws GodwitError `GODWIT_PAGES_OUT_OF_RANGE` unless it is an integer from 0 to {@link MAX_PAGES}
   */
  constructor(pageCount: number, shared?: SharedArrayBuffer) {
    if (!Number.isInteger(pageCount) || pageCount < 0 || pageCount > MAX_PAGES) {
      throw outOfRange(`a set of ${pageCount} pages is not possible`);
    }
    const wordCount = Math.ceil(pageCount / 32);
    const summaryCount = Math.ceil(wordCount / 1024);
    this.buffer = shared ?? new SharedArrayBuffer(4 * (HEADER_WORDS + summaryCount + wordCount));
    this.pageCount = pageCount;
    this.#header = new Int32Array(this.buffer, 0, HEADER_WORDS);
    this.#summary = new Int32Array(this.buffer, 4 * HEADER_WORDS, summaryCount);
    this.#words = new Int32Array(this.buffer, 4 * (HEADER_WORDS + summaryCount), wordCount);
    if (shared === undefined) this.#header[PAGE_COUNT] = pageCount;
  }

  /** The same set, seen from another thread. */
  static fromShared(buffer: SharedArrayBuffer): PageBitmap {
    return new PageBitmap(new Int32Array(buffer, 0, HEADER_WORDS)[PAGE_COUNT]!, buffer);
  }

  /** The pages in the set. Never less than the truth; exact when no other thread is amid a change. */
  count(): number {
    return Atomics.load(this.#header, COUNT);
  }

  /** Whether the page is in the set. */
  has(page: number): boolean {
    this.#check(page, page + 1);
    return (Atomics.load(this.#words, page >>> 5) & (1 << page)) !== 0;
  }

  /** Puts a page in. @returns whether it was new */
  set(page: number): boolean {
    this.#check(page, page + 1);
    const word = page >>> 5;
    const bit = 1 << page;
    if ((Atomics.load(this.#words, word) & bit) !== 0) return false;
    return this.#put(word, bit) === 1;
  }

  /** Takes a page out. @returns whether it was in: of several threads that take it, one gets true */
  clear(page: number): boolean {
    this.#check(page, page + 1);
    return this.#remove(page >>> 5, 1 << page) === 1;
  }

  /** Puts pages `from` to `to` (exclusive) in. @returns how many were new */
  setRange(from: number, to: number): number {
    this.#check(from, to);
    let changed = 0;
    for (let page = from; page < to; ) {
      const stop = Math.min(to, (page | 31) + 1);
      changed += this.#put(page >>> 5, bitRange(page & 31, stop - (page & ~31)));
      page = stop;
    }
    return changed;
  }

  /** Takes pages `from` to `to` (exclusive) out. @returns how many were in */
  clearRange(from: number, to: number): number {
    this.#check(from, to);
    let changed = 0;
    for (let page = from; page < to; ) {
      const stop = Math.min(to, (page | 31) + 1);
      changed += this.#remove(page >>> 5, bitRange(page & 31, stop - (page & ~31)));
      page = stop;
    }
    return changed;
  }

  /** Pages of `from` to `to` (exclusive) that are in the set and pass the filter: looks at every word. */
  countRange(from: number, to: number, filter?: PageFilter): number {
    this.#check(from, to);
    let pages = 0;
    for (let page = from; page < to; ) {
      const stop = Math.min(to, (page | 31) + 1);
      const wanted = bitRange(page & 31, stop - (page & ~31));
      pages += popcount(this.#look(page >>> 5, filter) & wanted);
      page = stop;
    }
    return pages;
  }

  /** The first page at or after `from` and before `to` that is in the set, or -1. */
  next(from: number, to: number = this.pageCount, filter?: PageFilter): number {
    this.#check(from, to);
    for (let page = this.#skip(from, to); page < to; page = this.#skip((page | 31) + 1, to)) {
      const stop = Math.min(to, (page | 31) + 1);
      const found = this.#look(page >>> 5, filter) & bitRange(page & 31, stop - (page & ~31));
      if (found !== 0) return (page & ~31) + lowestBit(found);
    }
    return -1;
  }

  /**
   * Atomically takes up to `maxPages` pages of `from` to `to` (exclusive) out of the set, lowest first, into
   * `out` as ascending runs; stops early when `out` is full. Allocates nothing.
   * @returns the number of runs written; 0 when there is nothing to take
   */
  takeRuns(from: number, to: number, maxPages: number, out: Runs, filter?: PageFilter): number {
    return this.#collect(from, to, maxPages, out, filter, true);
  }

  /** Like {@link takeRuns}, but leaves the pages in the set. */
  readRuns(from: number, to: number, maxPages: number, out: Runs, filter?: PageFilter): number {
    return this.#collect(from, to, maxPages, out, filter, false);
  }

  #collect(from: number, to: number, maxPages: number, out: Runs, filter?: PageFilter, take = false): number {
    this.#check(from, to);
    const capacity = out.length >>> 1;
    let runs = 0;
    let end = -1;
    let left = maxPages;
    for (let page = this.#skip(from, to); page < to && left > 0; page = this.#skip((page | 31) + 1, to)) {
      const word = page >>> 5;
      const base = page & ~31;
      const candidates = this.#look(word, filter) & bitRange(page & 31, Math.min(to - base, 32));
      if (candidates === 0) continue;
      const joins = base === end ? candidates & 1 : 0;
      const wanted = fitting(candidates, left, capacity - runs + joins);
      // What a rival took meanwhile can cut what we get into more runs than there is room for: give those back.
      let got = take ? Atomics.and(this.#words, word, ~wanted) & wanted : wanted;
      let kept = 0;
      while (got !== 0 && left > 0) {
        const bit = lowestBit(got);
        const length = Math.min(onesFrom(got, bit), left);
        if (base + bit === end) out[2 * runs - 1]! += length;
        else if (runs < capacity) {
          out[2 * runs] = base + bit;
          out[2 * runs + 1] = length;
          runs++;
        } else break;
        end = base + bit + length;
        left -= length;
        kept += length;
        got &= ~bitRange(bit, bit + length);
      }
      if (take) {
        if (got !== 0) this.#giveBack(word, got);
        Atomics.sub(this.#header, COUNT, kept);
      }
      if (wanted !== candidates || got !== 0) break;
    }
    return runs;
  }

  /** Counting before setting and after clearing keeps `count` from ever falling below the truth. */
  #put(word: number, bits: number): number {
    const added = popcount(bits);
    Atomics.add(this.#header, COUNT, added);
    const before = Atomics.or(this.#words, word, bits);
    const already = popcount(before & bits);
    if (already > 0) Atomics.sub(this.#header, COUNT, already);
    this.#mark(word);
    return added - already;
  }

  #remove(word: number, bits: number): number {
    const removed = popcount(Atomics.and(this.#words, word, ~bits) & bits);
    if (removed > 0) Atomics.sub(this.#header, COUNT, removed);
    return removed;
  }

  /** Pages put in again meanwhile by another thread were counted by it, and are in the set only once. */
  #giveBack(word: number, bits: number): void {
    const twice = popcount(Atomics.or(this.#words, word, bits) & bits);
    if (twice > 0) Atomics.sub(this.#header, COUNT, twice);
    this.#mark(word);
  }

  #mark(word: number): void {
    const bit = 1 << (word >>> 5);
    if ((Atomics.load(this.#summary, word >>> 10) & bit) === 0) Atomics.or(this.#summary, word >>> 10, bit);
  }

  #look(word: number, filter: PageFilter | undefined): number {
    let bits = Atomics.load(this.#words, word);
    if (filter !== undefined && bits !== 0) {
      if (filter.only !== undefined) bits &= Atomics.load(filter.only.#words, word);
      if (filter.except !== undefined) bits &= ~Atomics.load(filter.except.#words, word);
      if (filter.norIn !== undefined) bits &= ~Atomics.load(filter.norIn.#words, word);
    }
    return bits;
  }

  /** The first page at or after `page` whose word is not empty, or `to`. */
  #skip(page: number, to: number): number {
    while (page < to) {
      const group = page >>> 10;
      const summary = Atomics.load(this.#summary, group >>> 5) & (ALL << group);
      if (summary === 0) {
        page = ((group | 31) + 1) * 1024;
        continue;
      }
      const first = (group & ~31) + lowestBit(summary);
      if (first !== group) page = first * 1024;
      const stop = Math.min(this.#words.length, (first + 1) * 32);
      const begin = page >>> 5;
      let word = begin;
      while (word < stop && Atomics.load(this.#words, word) === 0) word++;
      if (word < stop) return Math.min(to, Math.max(page, word * 32));
      if (begin === first * 32) this.#tidy(first, stop);
      page = (first + 1) * 1024;
    }
    return to;
  }

  /** Clears a group's summary bit, and sets it again if a page came in before that: set() may have seen it set. */
  #tidy(group: number, stop: number): void {
    const bit = 1 << group;
    Atomics.and(this.#summary, group >>> 5, ~bit);
    for (let word = group * 32; word < stop; word++) {
      if (Atomics.load(this.#words, word) === 0) continue;
      Atomics.or(this.#summary, group >>> 5, bit);
      return;
    }
  }

  #check(from: number, to: number): void {
    if (from >= 0 && from <= to && to <= this.pageCount) return;
    throw outOfRange(`pages ${from} to ${to} are not in a block of ${this.pageCount} pages`);
  }
}

/** The lower bits of `word`, as many as make at most `maxBits` bits in at most `maxRuns` runs. */
function fitting(word: number, maxBits: number, maxRuns: number): number {
  while (popcount(word) > maxBits || popcount(word & ~(word << 1)) > maxRuns) {
    word &= ~(ALL << (31 - Math.clz32(word)));
  }
  return word;
}

function outOfRange(message: string): GodwitError {
  return new GodwitError("GODWIT_PAGES_OUT_OF_RANGE", message);
}
