import { PageBitmap } from "../pages/index.ts";

/** What the ledger must know of a RAM block. */
export interface LedgerBlockLayout {
  readonly name: string;
  readonly pages: number;
  /** Pages that the destination's host has as one; 1 where absent. */
  readonly hostPages?: number;
}

/** The ledger as plain data that crosses to another thread without being copied. */
export interface SharedLedger {
  readonly blocks: readonly {
    readonly name: string;
    readonly hostPages: number;
    readonly bitmaps: Readonly<Record<BitmapName, SharedArrayBuffer>>;
  }[];
  readonly counters: SharedArrayBuffer;
}

const bitmapNames = [
  "owed",
  "listed",
  "sent",
  "zero",
  "hot",
  "free",
  "requested",
  "recent",
  "frequent",
  "named",
] as const;
type BitmapName = (typeof bitmapNames)[number];

/** Bitmaps over the page numbers of one RAM block. */
export interface LedgerBlock extends Readonly<Record<BitmapName, PageBitmap>> {
  readonly name: string;
  readonly pages: number;
  /** Pages that the destination's host has as one: 512 with huge pages, otherwise 1. */
  readonly hostPages: number;
}

const LISTED_RECORDS = 0;
const SENT = 1;
const RESENT = 2;
const IN_FLIGHT = 3;
const PASSES = 4;
const LAST_BLOCK = 5;
const LAST_PAGE = 6;
const FAULT_BLOCK = 7;
const FAULT_PAGE = 8;
const FAULTS = 9;
const WATCHING = 10;
const SCANNING = 11;
const COUNTERS = 12;

/** Runs that are looked at together when free pages are dropped. */
const RUNS_AT_ONCE = 1024;

/**
 * What the destination still lacks, page by page: the one thing that all decisions read and from which all
 * counters of a report come. It lives in shared memory; the feed thread lists, the scheduler takes.
 *
 * - **owed**: the destination's copy is missing or stale. A page leaves it only when taken to be sent, proven
 *   zero, or free.
 * - **listed**: QEMU has named the page at least once. **hot**: it has named it again, so it was dirtied.
 * - **sent**: its contents went out at least once. **zero**: settled as zero without sending anything.
 * - **recent**: named again since {@link watchRecent}, shortly before the stop. **frequent**: more than once since then.
 * - **free**: dropped as dead content by the guest's word, and not sent since: the destination has zero there.
 *   **named**: by QEMU since the last look for free pages began. **requested**: asked for by the running destination.
 */
export class Ledger {
  readonly blocks: readonly LedgerBlock[];
  readonly totalPages: number;
  readonly #counters: Int32Array;
  readonly #scratch = new Uint32Array(2 * RUNS_AT_ONCE);

  private constructor(blocks: readonly LedgerBlock[], counters: SharedArrayBuffer) {
    this.blocks = blocks;
    this.totalPages = blocks.reduce((sum, block) => sum + block.pages, 0);
    this.#counters = new Int32Array(counters);
  }

  /** An empty ledger: nothing is owed before QEMU lists it. */
  static create(layout: readonly LedgerBlockLayout[]): Ledger {
    const blocks = layout.map(({ name, pages, hostPages = 1 }) => ({
      name,
      pages,
      hostPages,
      owed: new PageBitmap(pages),
      listed: new PageBitmap(pages),
      sent: new PageBitmap(pages),
      zero: new PageBitmap(pages),
      hot: new PageBitmap(pages),
      free: new PageBitmap(pages),
      requested: new PageBitmap(pages),
      recent: new PageBitmap(pages),
      frequent: new PageBitmap(pages),
      named: new PageBitmap(pages),
    }));
    const ledger = new Ledger(blocks, new SharedArrayBuffer(4 * COUNTERS));
    ledger.#counters[LAST_PAGE] = -1;
    return ledger;
  }

  /** The same ledger in another thread. */
  static attach(shared: SharedLedger): Ledger {
    const blocks = shared.blocks.map(({ name, hostPages, bitmaps }) => {
      const open = (bitmap: BitmapName) => PageBitmap.fromShared(bitmaps[bitmap]);
      const owed = open("owed");
      return {
        name,
        pages: owed.pageCount,
        hostPages,
        owed,
        listed: open("listed"),
        sent: open("sent"),
        zero: open("zero"),
        hot: open("hot"),
        free: open("free"),
        requested: open("requested"),
        recent: open("recent"),
        frequent: open("frequent"),
        named: open("named"),
      };
    });
    return new Ledger(blocks, shared.counters);
  }

  /** What {@link attach} needs. */
  share(): SharedLedger {
    return {
      blocks: this.blocks.map((block) => ({
        name: block.name,
        hostPages: block.hostPages,
        bitmaps: Object.fromEntries(bitmapNames.map((name) => [name, block[name].buffer])) as Record<
          BitmapName,
          SharedArrayBuffer
        >,
      })),
      counters: this.#counters.buffer as SharedArrayBuffer,
    };
  }

  /** Feed: counts a record of QEMU's; by itself it changes nothing that is owed. */
  note(block: number, page: number): void {
    const entry = this.blocks[block]!;
    const counters = this.#counters;
    Atomics.add(counters, LISTED_RECORDS, 1);
    if (!entry.listed.set(page)) {
      entry.hot.set(page);
      if (Atomics.load(counters, WATCHING) === 1 && !entry.recent.set(page)) entry.frequent.set(page);
    }
    if (Atomics.load(counters, SCANNING) === 1) entry.named.set(page);
    const lastBlock = counters[LAST_BLOCK]!;
    if (
      block < lastBlock ||
      (block === lastBlock && page <= counters[LAST_PAGE]!) ||
      counters[PASSES] === 0
    ) {
      Atomics.add(counters, PASSES, 1);
    }
    counters[LAST_BLOCK] = block;
    counters[LAST_PAGE] = page;
  }

  /** Feed: QEMU listed a page with content. It is owed from now on. */
  list(block: number, page: number): void {
    const entry = this.blocks[block]!;
    this.note(block, page);
    entry.zero.clear(page);
    entry.owed.set(page);
  }

  /**
   * Feed: QEMU listed a page that is zero. If nothing of it was ever sent, the destination's untouched memory is
   * right already and nothing is owed; otherwise it must be sent as zero.
   *
   * The look at `sent` may race with the scheduler, which marks before it sends: contents are read after that
   * mark, so whatever it sends is at least as new as what QEMU saw.
   */
  listZero(block: number, page: number): void {
    const entry = this.blocks[block]!;
    this.note(block, page);
    if (entry.sent.has(page)) {
      entry.owed.set(page);
      return;
    }
    entry.owed.clear(page);
    entry.zero.set(page);
  }

  /** Scheduler: pages were taken from `owed` and are on their way. @returns how many of them went out before */
  takeInHand(block: number, runs: Uint32Array, runCount: number): number {
    const entry = this.blocks[block]!;
    let pages = 0;
    let fresh = 0;
    for (let index = 0; index < runCount; index++) {
      const first = runs[2 * index]!;
      const count = runs[2 * index + 1]!;
      pages += count;
      fresh += entry.sent.setRange(first, first + count);
      if (entry.free.count() > 0) entry.free.clearRange(first, first + count);
    }
    Atomics.add(this.#counters, IN_FLIGHT, pages);
    Atomics.add(this.#counters, SENT, pages);
    Atomics.add(this.#counters, RESENT, pages - fresh);
    return pages - fresh;
  }

  /** Scheduler: pages that were in hand have left. */
  arrived(pages: number): void {
    Atomics.sub(this.#counters, IN_FLIGHT, pages);
  }

  /** The guest will be asked for its free pages: from now on QEMU's records tell which pages that answer can't be for. */
  beginScan(): void {
    for (const { named, pages } of this.blocks) {
      for (let page = named.next(0); page >= 0 && page < pages; ) {
        const wordEnd = Math.min(pages, (page | 31) + 1);
        named.clearRange(page & ~31, wordEnd);
        page = wordEnd < pages ? named.next(wordEnd) : -1;
      }
    }
    Atomics.store(this.#counters, SCANNING, 1);
  }

  /**
   * Pages that were free at some moment after the last {@link beginScan} and that the destination never got leave
   * `owed` without being sent, unless QEMU has named them since: what was dead then is written to before it is used
   * again, and each write is named by QEMU in its turn. The destination's untouched memory stands for them, so they
   * become zero.
   *
   * In the order of these steps a page that the feed lists meanwhile stays owed: the feed marks `named` first and
   * `owed` last. Only the thread that takes pages out of `owed` may call it, and not once faults are answered.
   * @param runs ascending, of one RAM block
   * @returns how many pages were dropped
   */
  dropFree(block: number, runs: Uint32Array): number {
    const { owed, sent, zero, free, named } = this.blocks[block]!;
    const scratch = this.#scratch;
    let dropped = 0;
    for (let index = 0; index < runs.length; index += 2) {
      const end = runs[index]! + runs[index + 1]!;
      for (let from = runs[index]!; from < end; ) {
        const runCount = owed.takeRuns(from, end, end - from, scratch, { except: sent });
        for (let run = 0; run < runCount; run++) {
          const first = scratch[2 * run]!;
          const stop = first + scratch[2 * run + 1]!;
          zero.setRange(first, stop);
          free.setRange(first, stop);
          dropped += stop - first;
          for (
            let page = named.next(first, stop);
            page >= 0;
            page = page + 1 < stop ? named.next(page + 1, stop) : -1
          ) {
            free.clear(page);
            zero.clear(page);
            owed.set(page);
            dropped -= 1;
          }
        }
        if (runCount === 0) break;
        from = scratch[2 * runCount - 2]! + scratch[2 * runCount - 1]!;
      }
    }
    return dropped;
  }

  /** Pages that were never sent because they were free. */
  freePages(): number {
    let pages = 0;
    for (const { free } of this.blocks) pages += free.count();
    return pages;
  }

  /** From now on the pages that QEMU names are the ones that the guest writes to just before it stops. */
  watchRecent(): void {
    Atomics.store(this.#counters, WATCHING, 1);
  }

  /** Fault server: the running destination waits for a page. Push follows it. */
  faulted(block: number, page: number): void {
    Atomics.store(this.#counters, FAULT_BLOCK, block);
    Atomics.store(this.#counters, FAULT_PAGE, page);
    Atomics.add(this.#counters, FAULTS, 1);
  }

  /** Pages that the running destination asked for and did not have on their way. */
  get faults(): number {
    return Atomics.load(this.#counters, FAULTS);
  }

  /** Where the latest of {@link faults} was. */
  get lastFault(): { readonly block: number; readonly page: number } {
    return {
      block: Atomics.load(this.#counters, FAULT_BLOCK),
      page: Atomics.load(this.#counters, FAULT_PAGE),
    };
  }

  /** Pages that the destination lacks, as far as QEMU has told: waiting ones and those on their way. */
  backlogPages(): number {
    return this.owedPages() + Atomics.load(this.#counters, IN_FLIGHT);
  }

  /** Pages that wait to be sent. */
  owedPages(): number {
    let pages = 0;
    for (const block of this.blocks) pages += block.owed.count();
    return pages;
  }

  /**
   * Of the pages that wait to be sent, those that were not dirtied again: exact up to `enough`, above it at least so
   * many, since counting them looks at the whole guest.
   */
  owedColdPages(enough: number): number {
    let least = 0;
    for (const { owed, hot } of this.blocks) least += Math.max(0, owed.count() - hot.count());
    if (least > enough) return least;
    let pages = 0;
    for (const { owed, hot, pages: end } of this.blocks) pages += owed.countRange(0, end, { except: hot });
    return pages;
  }

  /** Pages that QEMU has named at least once; all of them once its first pass is over. */
  listedPages(): number {
    let pages = 0;
    for (const block of this.blocks) pages += block.listed.count();
    return pages;
  }

  /** Pages that QEMU named as dirtied again. */
  hotPages(): number {
    let pages = 0;
    for (const block of this.blocks) pages += block.hot.count();
    return pages;
  }

  /** Pages settled as zero without sending anything, free ones included. */
  zeroPages(): number {
    let pages = 0;
    for (const block of this.blocks) pages += block.zero.count();
    return pages;
  }

  /** Pages taken to be sent, each time counted. */
  get sentPages(): number {
    return Atomics.load(this.#counters, SENT);
  }

  /** Of {@link sentPages}, those that had been sent before. */
  get resentPages(): number {
    return Atomics.load(this.#counters, RESENT);
  }

  /** Records that QEMU wrote, each page counted each time. */
  get listedRecords(): number {
    return Atomics.load(this.#counters, LISTED_RECORDS);
  }

  /** Times that QEMU went through its memory from the start: 1 during the first pass. */
  get passes(): number {
    return Atomics.load(this.#counters, PASSES);
  }
}
