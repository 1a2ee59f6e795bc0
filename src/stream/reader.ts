import { COMMAND } from "./commands.ts";
import { DeviceTail, type TailParts } from "./device-tail.ts";
import { streamError } from "./errors.ts";
import { Gather } from "./gather.ts";
import type { StreamHandler, StreamReaderOptions } from "./handler.ts";
import { DEFAULT_LIMITS, type StreamLimits } from "./limits.ts";
import { readPackage } from "./package.ts";
import { RecordParser } from "./record-parser.ts";

/** Holds the largest item that may straddle chunks: a command with 65,535 bytes of payload. */
const CARRY_BYTES = 66 * 1024;

/**
 * Reads QEMU's migration stream as it comes: `push` any chunks, then `end`. It allocates nothing per page, and
 * keeps no more than the item that straddles two chunks, the device state and its description (all bounded).
 * Whatever is wrong is a GodwitError `GODWIT_STREAM_…` naming the byte offset; after it the reader is unusable.
 */
export class StreamReader {
  readonly #handler: StreamHandler;
  readonly #limits: StreamLimits;
  readonly #allowMissingDescription: boolean;
  readonly #records: RecordParser;
  #package: Gather | undefined;
  #tail: DeviceTail | undefined;
  /** The pieces of an item that straddles chunks, and how much of it is there. */
  readonly #carry = new Uint8Array(CARRY_BYTES);
  #carried = 0;
  /** Bytes pushed before the current chunk. */
  #pushed = 0;
  #ended = false;
  #failure: unknown;

  constructor(handler: StreamHandler, options: StreamReaderOptions = {}) {
    this.#handler = handler;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#allowMissingDescription = options.allowMissingDescription ?? false;
    this.#records = new RecordParser(handler, options);
  }

  /** Whether the stream is complete. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Where the record lies whose handler is being called (not for pages): bytes from the stream's start. */
  get recordOffset(): number {
    return this.#records.recordOffset;
  }

  /**
   * Reads the next bytes, and keeps none of them.
   * @throws GodwitError `GODWIT_STREAM_…`, and whatever the handler throws
   */
  push(bytes: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      let pos = 0;
      while (pos < bytes.length) pos = this.#step(bytes, pos);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
    this.#pushed += bytes.length;
  }

  /**
   * The source of bytes has ended.
   * @throws GodwitError `GODWIT_STREAM_TRUNCATED` if the stream has not
   */
  end(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended) return;
    if (this.#tail === undefined) {
      throw streamError("GODWIT_STREAM_TRUNCATED", "it breaks off", this.#pushed);
    }
    this.#finish(this.#tail.finish(this.#allowMissingDescription));
  }

  /** Gives the bytes from `pos` to whoever expects them. @returns where to go on */
  #step(bytes: Uint8Array, pos: number): number {
    const records = this.#records;
    if (records.skip > 0) {
      const skipped = Math.min(bytes.length - pos, records.skip);
      records.skip -= skipped;
      return pos + skipped;
    }
    switch (records.expects) {
      case "items":
        return this.#carried > 0 ? this.#completeItem(bytes, pos) : this.#items(bytes, pos);
      case "package":
        return this.#collectPackage(bytes, pos);
      case "device-state": {
        this.#tail ??= new DeviceTail(this.#limits, records.recordOffset, (deviceState) =>
          this.#handler.deviceStateUnchecked?.(deviceState),
        );
        const parts = this.#tail.push(bytes, pos, bytes.length);
        if (parts !== undefined) this.#finish(parts);
        return bytes.length;
      }
      case "nothing":
        throw streamError("GODWIT_STREAM_ENDED", "bytes behind its end", this.#pushed + pos);
    }
  }

  #items(bytes: Uint8Array, pos: number): number {
    const stopped = this.#parse(bytes, pos, bytes.length, this.#pushed);
    if (this.#records.need === 0) return stopped;
    this.#carry.set(bytes.subarray(stopped));
    this.#carried = bytes.length - stopped;
    return bytes.length;
  }

  /** Appends just as much to the carried beginning of an item as it needs, and parses it. */
  #completeItem(bytes: Uint8Array, pos: number): number {
    const taken = Math.min(this.#records.need - this.#carried, bytes.length - pos);
    this.#carry.set(bytes.subarray(pos, pos + taken), this.#carried);
    this.#carried += taken;
    pos += taken;
    if (this.#carried >= this.#records.need) {
      // Just what was needed is there: either it is used up, or the parser knows now that it needs more.
      const used = this.#parse(this.#carry, 0, this.#carried, this.#pushed + pos - this.#carried);
      if (used > 0) this.#carried = 0;
    }
    return pos;
  }

  #parse(bytes: Uint8Array, pos: number, end: number, base: number): number {
    const stopped = this.#records.parse(bytes, pos, end, base);
    if (this.#records.expects === "nothing") this.#complete();
    return stopped;
  }

  #collectPackage(bytes: Uint8Array, pos: number): number {
    const records = this.#records;
    this.#package ??= new Gather("a package", records.packageBytes);
    const to = Math.min(bytes.length, pos + records.packageBytes - this.#package.length);
    this.#package.append(bytes, pos, to, records.recordOffset);
    if (this.#package.length < records.packageBytes) return to;
    const payload = this.#package.view();
    this.#package = undefined;
    records.expects = "items";
    if (readPackage(payload).runs) records.running = true;
    this.#handler.command?.(COMMAND.packaged, payload);
    return to;
  }

  #finish(parts: TailParts): void {
    this.#handler.deviceState?.(parts.deviceState);
    if (parts.description !== undefined) {
      this.#records.recordOffset += parts.deviceState.length + 1;
      this.#handler.description?.(parts.description);
    }
    this.#records.expects = "nothing";
    this.#complete();
  }

  #complete(): void {
    this.#ended = true;
    this.#handler.end?.();
  }
}
