import type { Ledger } from "../ledger.ts";
import { BATCH_PAGES, connectionOf } from "../scheduler.ts";
import type { ContentRing } from "./content-ring.ts";

const PAGE_BYTES = 4096;

/** A batch whose contents lie in a slot of the {@link ContentRing}. */
export interface CollectedBatch {
  readonly connection: number;
  readonly slot: number;
  readonly block: number;
  readonly runs: Uint32Array;
  readonly pages: number;
}

interface OpenSlot {
  slot: number;
  contents: Buffer;
  block: number;
  lastPage: number;
  runCount: number;
  pages: number;
}

/**
 * Feed side of RAM blocks whose contents come from QEMU's stream: gathers them into slots, one open slot a
 * connection, and hands each full one over. Within a slot pages ascend; a page that comes again begins a new slot,
 * and slots of a connection leave in order, so newer content never arrives before older.
 */
export class ContentCollector {
  readonly #ledger: Ledger;
  readonly #ring: ContentRing;
  readonly #open: (OpenSlot | null)[];
  readonly #runs: Uint32Array[];
  readonly #handOver: (batch: CollectedBatch) => void;

  constructor(
    ledger: Ledger,
    ring: ContentRing,
    connections: number,
    handOver: (batch: CollectedBatch) => void,
  ) {
    this.#ledger = ledger;
    this.#ring = ring;
    this.#open = new Array<OpenSlot | null>(connections).fill(null);
    this.#runs = this.#open.map(() => new Uint32Array(2 * BATCH_PAGES));
    this.#handOver = handOver;
  }

  /** A page with its content, copied from `content` at `offset`. */
  page(block: number, page: number, content: Uint8Array, offset: number): void {
    this.#ledger.note(block, page);
    const slot = this.#place(block, page);
    slot.contents.set(content.subarray(offset, offset + PAGE_BYTES), (slot.pages - 1) * PAGE_BYTES);
  }

  /** A page filled with one byte; goes on the wire only if something of it was sent before or it isn't zero. */
  filled(block: number, page: number, fill: number): void {
    this.#ledger.note(block, page);
    const connection = connectionOf(page, this.#open.length);
    const open = this.#open[connection];
    if (open?.block === block && page <= open.lastPage) this.#close(connection);
    const entry = this.#ledger.blocks[block]!;
    if (fill === 0 && !entry.sent.has(page)) {
      entry.zero.set(page);
      return;
    }
    const slot = this.#place(block, page);
    const start = (slot.pages - 1) * PAGE_BYTES;
    slot.contents.fill(fill, start, start + PAGE_BYTES);
  }

  /** Hands over what is open: called at the end of each RAM section, so that nothing waits for more to come. */
  flush(): void {
    for (let connection = 0; connection < this.#open.length; connection++) this.#close(connection);
  }

  #place(block: number, page: number): OpenSlot {
    const connection = connectionOf(page, this.#open.length);
    let open = this.#open[connection] ?? null;
    if (open !== null && (open.block !== block || page <= open.lastPage || open.pages === BATCH_PAGES)) {
      this.#close(connection);
      open = null;
    }
    if (open === null) {
      const slot = this.#ring.acquire();
      open = { slot, contents: this.#ring.contents(slot), block, lastPage: -2, runCount: 0, pages: 0 };
      this.#open[connection] = open;
    }
    const runs = this.#runs[connection]!;
    if (page === open.lastPage + 1) runs[2 * open.runCount - 1]! += 1;
    else {
      runs[2 * open.runCount] = page;
      runs[2 * open.runCount + 1] = 1;
      open.runCount += 1;
    }
    open.lastPage = page;
    open.pages += 1;
    this.#ledger.blocks[block]!.zero.clear(page);
    return open;
  }

  #close(connection: number): void {
    const open = this.#open[connection];
    if (open === null || open === undefined) return;
    this.#open[connection] = null;
    const runs = this.#runs[connection]!.slice(0, 2 * open.runCount);
    this.#ledger.takeInHand(open.block, runs, open.runCount);
    this.#handOver({ connection, slot: open.slot, block: open.block, runs, pages: open.pages });
  }
}
