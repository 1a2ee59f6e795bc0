import { hostPageOf, takeHostPage } from "./host-pages.ts";
import type { Ledger, LedgerBlock } from "./ledger.ts";
import { BATCH_PAGES, type Batch, LATE_BATCH_PAGES } from "./scheduler.ts";

/** Pages behind a fault that push looks at first: what a guest that reads on will want next. */
const AHEAD_PAGES = 1024;

/** How far push has come in a RAM block. */
interface Cursor {
  page: number;
  /** It has begun at the block's first page. */
  wrapped: boolean;
  done: boolean;
}

/**
 * The order in which pages go unasked once the destination runs: behind the latest fault, then those that the guest
 * used to write to, then the rest, both on from that fault (the active push of Hines and Gopalan 2009, led by the faults). Each page leaves
 * `owed` here or through a fault, never twice. Of a block with larger host pages one host page goes at a time, in
 * batches that follow each other on one connection.
 */
export class Push {
  readonly #ledger: Ledger;
  readonly #scratch = new Uint32Array(2 * LATE_BATCH_PAGES);
  readonly #hotCursors: Cursor[];
  readonly #restCursors: Cursor[];
  /** What is left of a host page that a connection has begun. */
  readonly #halves = new Map<number, Batch[]>();
  #seenFaults = 0;
  #follows: { block: number; page: number } | null = null;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    // Before a fault there is nothing before where it begins.
    const begin = () => ({ page: 0, wrapped: true, done: false });
    this.#hotCursors = ledger.blocks.map(begin);
    this.#restCursors = ledger.blocks.map(begin);
  }

  /** Whether a host page was begun of which batches are still to be taken. */
  get isAmidHostPage(): boolean {
    return this.#halves.size > 0;
  }

  /** Takes the next batch for a connection out of `owed`, or null when nothing is owed. */
  take(connection: number): Batch | null {
    const halves = this.#halves.get(connection);
    if (halves !== undefined) {
      if (halves.length === 1) this.#halves.delete(connection);
      return halves.shift()!;
    }
    const batch = this.#afterFault() ?? this.#onward(true) ?? this.#onward(false);
    if (batch === null || batch.pages <= BATCH_PAGES) return batch;
    const [first, ...others] = inBatches(batch);
    this.#halves.set(connection, others);
    return first!;
  }

  #afterFault(): Batch | null {
    const { faults } = this.#ledger;
    if (faults !== this.#seenFaults) {
      this.#seenFaults = faults;
      this.#follows = this.#ledger.lastFault;
      const { block, page } = this.#follows;
      for (const cursors of [this.#hotCursors, this.#restCursors]) {
        cursors[block] = { page, wrapped: false, done: false };
      }
    }
    if (this.#follows === null) return null;
    const { block, page } = this.#follows;
    const end = Math.min(this.#ledger.blocks[block]!.pages, page + AHEAD_PAGES);
    const batch = this.#takeIn(block, page, end, false);
    if (batch === null) this.#follows = null;
    return batch;
  }

  /** On from the latest fault, since a guest that walks through memory comes there next, and at last what lies before. */
  #onward(hotOnly: boolean): Batch | null {
    const cursors = hotOnly ? this.#hotCursors : this.#restCursors;
    for (const [index, { pages }] of this.#ledger.blocks.entries()) {
      const cursor = cursors[index]!;
      while (!cursor.done) {
        const batch = this.#takeIn(index, cursor.page, pages, hotOnly);
        if (batch !== null) {
          cursor.page = Math.min(pages, endOf(batch));
          return batch;
        }
        cursor.done = cursor.wrapped;
        cursor.wrapped = true;
        cursor.page = 0;
      }
    }
    return null;
  }

  #takeIn(index: number, from: number, to: number, hotOnly: boolean): Batch | null {
    const block = this.#ledger.blocks[index]!;
    const filter = hotOnly ? { only: block.hot } : undefined;
    if (block.hostPages > 1) return this.#takeHostPageIn(block, index, from, to, hotOnly);
    const runCount = block.owed.takeRuns(from, to, LATE_BATCH_PAGES, this.#scratch, filter);
    if (runCount === 0) return null;
    this.#ledger.takeInHand(index, this.#scratch, runCount);
    const runs = this.#scratch.slice(0, 2 * runCount);
    let pages = 0;
    for (let run = 0; run < runCount; run++) pages += runs[2 * run + 1]!;
    return { block: index, runs, pages, hot: hotOnly };
  }

  #takeHostPageIn(block: LedgerBlock, index: number, from: number, to: number, hot: boolean): Batch | null {
    const filter = hot ? { only: block.hot } : undefined;
    for (let page = block.owed.next(from, to, filter); page >= 0; ) {
      const host = hostPageOf(block, page);
      if (takeHostPage(block.owed, host.from, host.to)) {
        const runs = Uint32Array.of(host.from, host.to - host.from);
        this.#ledger.takeInHand(index, runs, 1);
        return { block: index, runs, pages: host.to - host.from, hot };
      }
      page = host.to < to ? block.owed.next(host.to, to, filter) : -1;
    }
    return null;
  }
}

/** A host page in pieces that a frame holds. */
function inBatches(batch: Batch): Batch[] {
  const [first = 0, pages = 0] = batch.runs;
  return Array.from({ length: Math.ceil(pages / BATCH_PAGES) }, (_, piece) => {
    const from = first + piece * BATCH_PAGES;
    const count = Math.min(BATCH_PAGES, first + pages - from);
    return { ...batch, runs: Uint32Array.of(from, count), pages: count };
  });
}

function endOf({ runs }: Batch): number {
  return runs[runs.length - 2]! + runs[runs.length - 1]!;
}
