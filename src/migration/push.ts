import type { Ledger } from "./ledger.ts";
import { type Batch, LATE_BATCH_PAGES } from "./scheduler.ts";

/** Pages behind a fault that push looks at first: what a guest that reads on will want next. */
const AHEAD_PAGES = 1024;

/**
 * The order in which pages go unasked once the destination runs: around the latest fault, then those that the guest
 * used to write to, then the rest (the active push of Hines and Gopalan 2009, led by the faults). Each page leaves
 * `owed` here or through a fault, never twice.
 */
export class Push {
  readonly #ledger: Ledger;
  readonly #scratch = new Uint32Array(2 * LATE_BATCH_PAGES);
  readonly #cursors: { hot: number; rest: number }[];
  #seenFaults = 0;
  #follows: { block: number; page: number } | null = null;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#cursors = ledger.blocks.map(() => ({ hot: 0, rest: 0 }));
  }

  /** Takes the next batch out of `owed`, or null when nothing is owed. */
  take(): Batch | null {
    return this.#afterFault() ?? this.#hot() ?? this.#rest();
  }

  #afterFault(): Batch | null {
    const { faults } = this.#ledger;
    if (faults !== this.#seenFaults) {
      this.#seenFaults = faults;
      this.#follows = this.#ledger.lastFault;
    }
    if (this.#follows === null) return null;
    const { block, page } = this.#follows;
    const end = Math.min(this.#ledger.blocks[block]!.pages, page + AHEAD_PAGES);
    const batch = this.#takeIn(block, page, end, false);
    if (batch === null) this.#follows = null;
    return batch;
  }

  #hot(): Batch | null {
    for (const [index, block] of this.#ledger.blocks.entries()) {
      const cursor = this.#cursors[index]!;
      if (cursor.hot >= block.pages) continue;
      const batch = this.#takeIn(index, cursor.hot, block.pages, true);
      cursor.hot = batch === null ? block.pages : endOf(batch);
      if (batch !== null) return batch;
    }
    return null;
  }

  #rest(): Batch | null {
    for (const [index, block] of this.#ledger.blocks.entries()) {
      const cursor = this.#cursors[index]!;
      if (cursor.rest >= block.pages) continue;
      const batch = this.#takeIn(index, cursor.rest, block.pages, false);
      cursor.rest = batch === null ? block.pages : endOf(batch);
      if (batch !== null) return batch;
    }
    return null;
  }

  #takeIn(index: number, from: number, to: number, hotOnly: boolean): Batch | null {
    const block = this.#ledger.blocks[index]!;
    const filter = hotOnly ? { only: block.hot } : undefined;
    const runCount = block.owed.takeRuns(from, to, LATE_BATCH_PAGES, this.#scratch, filter);
    if (runCount === 0) return null;
    this.#ledger.takeInHand(index, this.#scratch, runCount);
    const runs = this.#scratch.slice(0, 2 * runCount);
    let pages = 0;
    for (let run = 0; run < runCount; run++) pages += runs[2 * run + 1]!;
    return { block: index, runs, pages, hot: hotOnly };
  }
}

function endOf({ runs }: Batch): number {
  return runs[runs.length - 2]! + runs[runs.length - 1]!;
}
