import { streamError } from "./errors.ts";

/** Beginning size: one page of the host, the least that is worth a growing step. */
const FIRST_BYTES = 4096;

/**
 * Collects bytes whose number is not known or not to be trusted: memory grows with what has really arrived,
 * doubling, never beyond the limit.
 */
export class Gather {
  #bytes = new Uint8Array(0);
  #length = 0;
  readonly #maxBytes: number;
  readonly #what: string;

  /** @param what names the contents in the error message */
  constructor(what: string, maxBytes: number) {
    this.#what = what;
    this.#maxBytes = maxBytes;
  }

  get length(): number {
    return this.#length;
  }

  /**
   * Appends `source[from…to)`.
   * @throws GodwitError `GODWIT_STREAM_OVERSIZED`
   */
  append(source: Uint8Array, from: number, to: number, offset: number): void {
    const length = this.#length + to - from;
    if (length > this.#maxBytes) {
      throw streamError("GODWIT_STREAM_OVERSIZED", `${this.#what} exceeds ${this.#maxBytes} bytes`, offset);
    }
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(
        Math.min(this.#maxBytes, Math.max(FIRST_BYTES, length, 2 * this.#bytes.length)),
      );
      grown.set(this.view());
      this.#bytes = grown;
    }
    this.#bytes.set(source.subarray(from, to), this.#length);
    this.#length = length;
  }

  /** What has been collected, without a copy; what is appended later may leave it stale. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
