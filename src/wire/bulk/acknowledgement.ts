import { GodwitError } from "../../base/errors.ts";

/**
 * What flows back on a bulk connection: each acknowledgement is a u32 (little-endian), the batches that the receiver
 * has placed so far, modulo 2^32. It lets the sender keep a small window under way, so that what is owed at the
 * switchover is known and small, whatever the kernel's buffers would swallow.
 */
export const ACKNOWLEDGEMENT_BYTES = 4;

/** In place of an acknowledgement: a page request follows. So many batches, 4 PiB of pages, no connection carries. */
const REQUEST_MARK = 0xffff_ffff;

/** Mark, u32 first page, u16 RAM block, u16 pages. */
const REQUEST_BYTES = 12;

/** The acknowledgement of a number of batches. */
export function acknowledgement(batches: number): Buffer {
  const bytes = Buffer.allocUnsafe(ACKNOWLEDGEMENT_BYTES);
  bytes.writeUInt32LE(batches >>> 0);
  return bytes;
}

/** Asks for pages of a RAM block, at most 65,535: on the connection that answers faults. */
export function pageRequest(block: number, firstPage: number, pageCount: number): Buffer {
  const bytes = Buffer.allocUnsafe(REQUEST_BYTES);
  bytes.writeUInt32LE(REQUEST_MARK, 0);
  bytes.writeUInt32LE(firstPage, 4);
  bytes.writeUInt16LE(block, 8);
  bytes.writeUInt16LE(pageCount, 10);
  return bytes;
}

/** Told of each page request. */
export type RequestListener = (block: number, firstPage: number, pageCount: number) => void;

/** Reads acknowledgements in any chunking and trusts none that claims more than was sent. */
export class AcknowledgementReader {
  readonly #word = Buffer.alloc(REQUEST_BYTES);
  readonly #onRequest: RequestListener | undefined;
  #filled = 0;
  #wanted = ACKNOWLEDGEMENT_BYTES;
  #placed = 0;

  /** @param onRequest told of page requests; without it there are none and every word is an acknowledgement */
  constructor(onRequest?: RequestListener) {
    this.#onRequest = onRequest;
  }

  /** Batches acknowledged so far. */
  get placed(): number {
    return this.#placed;
  }

  /**
   * Takes bytes from the connection.
   * @param sent batches that were sent so far
   * @throws GodwitError `GODWIT_BULK_FRAME` for an acknowledgement of batches that were never sent
   */
  push(bytes: Buffer, sent: number): void {
    for (let at = 0; at < bytes.length; ) {
      const taken = bytes.copy(this.#word, this.#filled, at, at + this.#wanted - this.#filled);
      at += taken;
      this.#filled += taken;
      if (this.#filled < this.#wanted) return;
      const marked = this.#onRequest !== undefined && this.#word.readUInt32LE() === REQUEST_MARK;
      if (this.#wanted === ACKNOWLEDGEMENT_BYTES && marked) {
        this.#wanted = REQUEST_BYTES;
        continue;
      }
      this.#filled = 0;
      if (this.#wanted === REQUEST_BYTES) {
        this.#wanted = ACKNOWLEDGEMENT_BYTES;
        this.#request();
        continue;
      }
      const newly = (this.#word.readUInt32LE() - this.#placed) >>> 0;
      if (newly > sent - this.#placed) {
        throw new GodwitError("GODWIT_BULK_FRAME", "the receiver acknowledged batches that were never sent");
      }
      this.#placed += newly;
    }
  }

  #request(): void {
    this.#onRequest!(this.#word.readUInt16LE(8), this.#word.readUInt32LE(4), this.#word.readUInt16LE(10));
  }
}
