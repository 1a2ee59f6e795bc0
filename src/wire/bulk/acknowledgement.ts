import { GodwitError } from "../../base/errors.ts";

/**
 * What flows back on a bulk connection: each acknowledgement is a u32 (little-endian), the batches that the receiver
 * has placed so far, modulo 2^32. It lets the sender keep a small window under way, so that what is owed at the
 * switchover is known and small, whatever the kernel's buffers would swallow.
 */
export const ACKNOWLEDGEMENT_BYTES = 4;

/** The acknowledgement of a number of batches. */
export function acknowledgement(batches: number): Buffer {
  const bytes = Buffer.allocUnsafe(ACKNOWLEDGEMENT_BYTES);
  bytes.writeUInt32LE(batches >>> 0);
  return bytes;
}

/** Reads acknowledgements in any chunking and trusts none that claims more than was sent. */
export class AcknowledgementReader {
  readonly #word = Buffer.alloc(ACKNOWLEDGEMENT_BYTES);
  #filled = 0;
  #placed = 0;

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
      const taken = bytes.copy(this.#word, this.#filled, at);
      at += taken;
      this.#filled += taken;
      if (this.#filled < ACKNOWLEDGEMENT_BYTES) return;
      this.#filled = 0;
      const newly = (this.#word.readUInt32LE() - this.#placed) >>> 0;
      if (newly > sent - this.#placed) {
        throw new GodwitError("GODWIT_BULK_FRAME", "the receiver acknowledged batches that were never sent");
      }
      this.#placed += newly;
    }
  }
}
