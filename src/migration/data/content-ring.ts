import { BATCH_PAGES } from "../scheduler.ts";

const PAGE_BYTES = 4096;
const FREE = 0;
const USED = 1;

/**
 * Shared slots that carry page contents out of QEMU's stream to the threads that send them: one batch a slot. Used
 * for RAM blocks that can't be read from outside. When no slot is free the feed waits, and so QEMU waits: the
 * number of slots is the memory bound.
 */
export class ContentRing {
  readonly buffer: SharedArrayBuffer;
  readonly slots: number;
  readonly #words: Int32Array;

  /** `slots` batches of {@link BATCH_PAGES} pages; attach in another thread by giving the `shared` buffer. */
  constructor(slots: number, shared?: SharedArrayBuffer) {
    const bytes = slots * BATCH_PAGES * PAGE_BYTES;
    this.buffer = shared ?? new SharedArrayBuffer(bytes + 4 * (slots + 1));
    this.slots = slots;
    this.#words = new Int32Array(this.buffer, bytes, slots + 1);
  }

  /** The memory of a slot. */
  contents(slot: number): Buffer {
    const bytes = BATCH_PAGES * PAGE_BYTES;
    return Buffer.from(this.buffer, slot * bytes, bytes);
  }

  /** Feed: a free slot, now taken; waits until there is one. */
  acquire(): number {
    for (;;) {
      const seen = Atomics.load(this.#words, this.slots);
      for (let slot = 0; slot < this.slots; slot++) {
        if (Atomics.compareExchange(this.#words, slot, FREE, USED) === FREE) return slot;
      }
      Atomics.wait(this.#words, this.slots, seen);
    }
  }

  /** Sender: the slot's contents have left. */
  release(slot: number): void {
    Atomics.store(this.#words, slot, FREE);
    Atomics.add(this.#words, this.slots, 1);
    Atomics.notify(this.#words, this.slots);
  }
}
