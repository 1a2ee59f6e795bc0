import type { PageBitmap, PageFilter } from "../pages/index.ts";
import type { Ledger } from "./ledger.ts";

/** Pages that share a connection: 2 MiB, a huge page, so that whole host pages stay together. */
const GROUP_PAGES = 512;

/** Pages of one batch: 1 MiB, where compression and TLS have lost their cost per call (`docs/limits.md`). */
export const BATCH_PAGES = 256;

/**
 * Pages of one batch once the first pass is over: what is under way then lengthens the pause, and a fourth of it is
 * still enough for every stage to have its batch.
 */
export const LATE_BATCH_PAGES = 64;

/** The connection that all contents of a page take. */
export function connectionOf(page: number, connections: number): number {
  return Math.floor(page / GROUP_PAGES) % connections;
}

/** In which order owed pages go. */
export type PageOrder = "ascending" | "cold-first";

/** One batch for one connection: pages of one RAM block, taken from the ledger's owed set. */
export interface Batch {
  readonly block: number;
  /** Ascending runs `[firstPage, pageCount, …]`, exactly as long as their content. */
  readonly runs: Uint32Array;
  readonly pages: number;
  /** These are pages that the guest keeps writing to, which will probably go again. */
  readonly hot: boolean;
}

/**
 * Deals owed pages to the bulk connections. Each group of {@link GROUP_PAGES} pages belongs to one connection,
 * so that a page's newer content can never overtake an older one.
 *
 * `cold-first` sends pages that were never dirtied again before those that were: what the guest is writing now
 * would only have to go again.
 */
export class Scheduler {
  readonly #ledger: Ledger;
  readonly #connections: number;
  readonly #order: PageOrder;
  readonly #scratch = new Uint32Array(2 * BATCH_PAGES);
  #batchPages = BATCH_PAGES;
  #restriction: readonly PageBitmap[] | null = null;
  #deferred: readonly PageBitmap[] | null = null;
  readonly #cursors: { block: number; page: number }[];

  constructor(ledger: Ledger, connections: number, order: PageOrder) {
    this.#ledger = ledger;
    this.#connections = connections;
    this.#order = order;
    this.#cursors = Array.from({ length: connections }, () => ({ block: 0, page: 0 }));
  }

  /** Batches hold so many pages at most from now on; {@link BATCH_PAGES} at the beginning. */
  setBatchPages(pages: number): void {
    this.#batchPages = Math.min(pages, BATCH_PAGES);
  }

  /** Only pages of these sets, one a RAM block, are taken from now on; null lifts it. */
  restrictTo(only: readonly PageBitmap[] | null): void {
    this.#restriction = only;
  }

  /** Pages of these sets, one a RAM block, wait until they are no longer in them; null lifts it. */
  defer(sets: readonly PageBitmap[] | null): void {
    this.#deferred = sets;
  }

  /** Whether nothing of the restriction is owed any more. */
  get isDone(): boolean {
    return this.#ledger.blocks.every(
      ({ owed, pages }, index) => owed.next(0, pages, this.#filter(index, false, false)) < 0,
    );
  }

  /** Takes the next batch for a connection out of `owed`, or null when there is nothing for it now. */
  take(connection: number): Batch | null {
    if (this.#restriction !== null) return this.#takeFrom(connection, false, false);
    if (this.#order === "ascending") return this.#takeFrom(connection, false, false);
    return this.#takeFrom(connection, true, false) ?? this.#takeFrom(connection, false, true);
  }

  #takeFrom(connection: number, coldOnly: boolean, hotOnly: boolean): Batch | null {
    const blocks = this.#ledger.blocks;
    const cursor = this.#cursors[connection]!;
    const startBlock = cursor.block;
    for (let step = 0; step <= blocks.length; step++) {
      const index = (startBlock + step) % blocks.length;
      const from = step === 0 ? cursor.page : 0;
      const batch = this.#takeInBlock(connection, index, from, coldOnly, hotOnly);
      if (batch !== null) return batch;
    }
    return null;
  }

  #filter(index: number, coldOnly: boolean, hotOnly: boolean): PageFilter | undefined {
    if (this.#restriction !== null) return { only: this.#restriction[index]! };
    const { hot } = this.#ledger.blocks[index]!;
    const norIn = this.#deferred?.[index];
    return coldOnly ? { except: hot, norIn } : hotOnly ? { only: hot, norIn } : { norIn };
  }

  #takeInBlock(
    connection: number,
    index: number,
    from: number,
    coldOnly: boolean,
    hotOnly: boolean,
  ): Batch | null {
    const block = this.#ledger.blocks[index]!;
    const filter = this.#filter(index, coldOnly, hotOnly);
    let runCount = 0;
    let pages = 0;
    let page = from;
    while (pages < this.#batchPages && page < block.pages) {
      page = block.owed.next(page, block.pages, filter);
      if (page < 0) break;
      const groupEnd = Math.min(block.pages, (Math.floor(page / GROUP_PAGES) + 1) * GROUP_PAGES);
      if (connectionOf(page, this.#connections) === connection) {
        const into = this.#scratch.subarray(2 * runCount);
        const runs = block.owed.takeRuns(page, groupEnd, this.#batchPages - pages, into, filter);
        for (let run = 0; run < runs; run++) {
          pages += into[2 * run + 1]!;
          page = into[2 * run]! + into[2 * run + 1]!;
        }
        runCount += runs;
        if (runs > 0) continue;
      }
      page = groupEnd;
    }
    if (pages === 0) return null;
    this.#ledger.takeInHand(index, this.#scratch, runCount);
    this.#cursors[connection] = { block: index, page: page < 0 || page >= block.pages ? 0 : page };
    const hot = hotOnly || this.#restriction !== null;
    return { block: index, runs: this.#scratch.slice(0, 2 * runCount), pages, hot };
  }
}
