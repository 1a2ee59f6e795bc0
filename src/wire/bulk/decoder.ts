import { crc32 } from "node:zlib";
import { type ErrorCode, GodwitError } from "../../base/errors.ts";
import {
  AT,
  type BulkTotals,
  CODEC_LZ4,
  CODEC_RAW,
  CODEC_ZSTD,
  HEAD_BYTES,
  MAGIC,
  MAXIMUM_BATCH_PAGES,
  MAXIMUM_CONTENT_BYTES,
  MAXIMUM_FRAME_BYTES,
  MAXIMUM_RUN_BYTES,
  PAGE_BYTES,
  TYPE_BATCH,
  TYPE_END_OF_SET,
  TYPE_GOODBYE,
} from "./format.ts";
import { type KeptPages, type PageContents, pageContents } from "./kept-pages.ts";
import { decompressLz4 } from "./lz4.ts";
import { bestZstd, type Zstd } from "./zstd.ts";

/** Where a zstd frame says whether it ends with a checksum of its contents (RFC 8878, 3.1.1.1.1). */
const ZSTD_DESCRIPTOR_AT = 4;
const ZSTD_CHECKSUM_FLAG = 4;

/** What a decoder delivers. Everything passed is the decoder's own and valid only during the call. */
export interface BatchHandler {
  /**
   * @param runs pairs of first page and page count, ascending, within the block; `runCount` of them in use
   * @param zeroFlags per page of the batch, in order: 1 when it is zero and so not in `contents`
   * @param contents the other pages back to back
   */
  onBatch(block: number, runs: Uint32Array, runCount: number, zeroFlags: Uint8Array, contents: Buffer): void;
  /** Everything sent before has been delivered; the totals agree with what was delivered. */
  onEndOfSet?(set: number, totals: BulkTotals): void;
  /** The sender is done; nothing follows. */
  onGoodbye?(totals: BulkTotals): void;
}

/**
 * Turns what a bulk connection delivers, in any chunking, back into pages. Trusts nothing: every length is judged
 * before it is used, and a batch is delivered only when its checksums are right. After an error it takes nothing more.
 * Memory: one frame and two batches, about 3 MiB, and the pages that are kept.
 */
export class BatchDecoder {
  readonly #handler: BatchHandler;
  readonly #blockPages: readonly number[];
  readonly #kept: KeptPages | undefined;
  readonly #frame = Buffer.allocUnsafeSlow(MAXIMUM_FRAME_BYTES);
  readonly #runs = new Uint32Array(2 * MAXIMUM_BATCH_PAGES);
  readonly #zeroFlags = new Uint8Array(MAXIMUM_BATCH_PAGES);
  /** Where differences become pages, aligned to words; none without pages that are kept. */
  #whole: PageContents | null = null;
  /** Most connections to a host on a fast link never need it. */
  #zstd: Zstd | undefined;
  #filled = 0;
  #frameBytes = 0;
  #sequence = 0;
  #batches = 0;
  #pages = 0;
  #zeroPages = 0;
  #state: "open" | "ended" | "failed" = "open";

  /**
   * @param blockPages pages per RAM block, by index, as announced in `stream-head`
   * @param kept what the connection carried before; without it a batch of kept pages is refused
   */
  constructor(blockPages: readonly number[], handler: BatchHandler, kept?: KeptPages) {
    this.#blockPages = blockPages;
    this.#handler = handler;
    this.#kept = kept;
  }

  get totals(): BulkTotals {
    return { batches: this.#batches, pages: this.#pages, zeroPages: this.#zeroPages };
  }

  /** True once the sender said goodbye. */
  get ended(): boolean {
    return this.#state === "ended";
  }

  /**
   * Takes bytes and delivers every batch that is complete with them.
   * @throws GodwitError `GODWIT_BULK_FRAME`, `GODWIT_BULK_SEQUENCE`, `GODWIT_BULK_CHECKSUM`, `GODWIT_BULK_TOTALS`,
   * `GODWIT_BULK_ENDED`, and whatever the handler throws
   */
  push(chunk: Buffer, length = chunk.length): void {
    if (this.#state !== "open" && length > 0) throw failure("GODWIT_BULK_ENDED", "bytes after the end");
    try {
      this.#take(chunk, length);
    } catch (thrown) {
      this.#state = "failed";
      throw thrown;
    }
  }

  #take(chunk: Buffer, length: number): void {
    let position = 0;
    while (position < length) {
      const needed = this.#frameBytes === 0 ? HEAD_BYTES : this.#frameBytes;
      const taken = Math.min(needed - this.#filled, length - position);
      chunk.copy(this.#frame, this.#filled, position, position + taken);
      position += taken;
      this.#filled += taken;
      if (this.#filled < needed) return;
      if (this.#frameBytes === 0) this.#frameBytes = this.#judgeHead();
      if (this.#filled < this.#frameBytes) continue;
      const type = this.#frame[AT.type];
      this.#filled = 0;
      this.#frameBytes = 0;
      if (type === TYPE_BATCH) this.#batch();
      else this.#totals(type as number);
      if (this.#state === "ended" && position < length)
        throw failure("GODWIT_BULK_ENDED", "bytes after the goodbye");
    }
  }

  /** The whole frame's length, judged by its head alone. */
  #judgeHead(): number {
    const head = this.#frame;
    const type = head[AT.type];
    if (head[0] !== MAGIC || (type !== TYPE_BATCH && head[AT.keeping] !== 0)) {
      throw failure("GODWIT_BULK_FRAME", "this is no bulk frame");
    }
    if (head.readUInt32LE(AT.sequence) !== this.#sequence) {
      throw failure(
        "GODWIT_BULK_SEQUENCE",
        `frame ${head.readUInt32LE(AT.sequence)} where ${this.#sequence} was due`,
      );
    }
    this.#sequence = (this.#sequence + 1) >>> 0;
    if (type === TYPE_END_OF_SET || type === TYPE_GOODBYE) return HEAD_BYTES;
    if (type !== TYPE_BATCH) throw failure("GODWIT_BULK_FRAME", `a frame of the unknown type ${type}`);
    const codec = head[AT.codec];
    const keeping = head[AT.keeping] as number;
    const payloadBytes = head.readUInt32LE(AT.payloadBytes);
    const runs = head.readUInt16LE(AT.runs);
    const pages = head.readUInt16LE(AT.pages);
    const zeroPages = head.readUInt16LE(AT.zeroPages);
    const contentBytes = head.readUInt32LE(AT.contentBytes);
    const runBytes = head.readUInt16LE(AT.runBytes);
    const bitmapBytes = head.readUInt16LE(AT.bitmapBytes);
    const mixed = zeroPages > 0 && zeroPages < pages;
    const plausible =
      pages >= 1 &&
      pages <= MAXIMUM_BATCH_PAGES &&
      runs >= 1 &&
      runs <= pages &&
      zeroPages <= pages &&
      contentBytes === (pages - zeroPages) * PAGE_BYTES &&
      runBytes >= 2 * runs &&
      runBytes <= MAXIMUM_RUN_BYTES &&
      bitmapBytes === (mixed ? (pages + 7) >> 3 : 0) &&
      keeping <= (this.#kept === undefined ? 0 : 1) &&
      (codec === CODEC_RAW
        ? payloadBytes === contentBytes
        : (codec === CODEC_ZSTD || codec === CODEC_LZ4) && payloadBytes < contentBytes);
    if (!plausible) throw failure("GODWIT_BULK_FRAME", "a batch whose head contradicts itself");
    if (head.readUInt16LE(AT.block) >= this.#blockPages.length) {
      throw failure(
        "GODWIT_BULK_FRAME",
        `a batch for RAM block ${head.readUInt16LE(AT.block)}, which there isn't`,
      );
    }
    return HEAD_BYTES + runBytes + bitmapBytes + keeping * ((pages + 7) >> 3) + payloadBytes;
  }

  #batch(): void {
    const head = this.#frame;
    const block = head.readUInt16LE(AT.block);
    const runCount = head.readUInt16LE(AT.runs);
    const pages = head.readUInt16LE(AT.pages);
    const zeroPages = head.readUInt16LE(AT.zeroPages);
    const contentBytes = head.readUInt32LE(AT.contentBytes);
    const payloadBytes = head.readUInt32LE(AT.payloadBytes);
    const bitmapAt = HEAD_BYTES + head.readUInt16LE(AT.runBytes);
    const differencesAt = bitmapAt + head.readUInt16LE(AT.bitmapBytes);
    const payloadAt = differencesAt + (head[AT.keeping] as number) * ((pages + 7) >> 3);
    let contents: Buffer = head.subarray(payloadAt, payloadAt + payloadBytes);
    if (head[AT.codec] === CODEC_ZSTD) {
      this.#checkCrc(payloadAt, 0);
      contents = this.#decompress(contents, contentBytes);
    } else if (head[AT.codec] === CODEC_LZ4) {
      contents = this.#decompressLz4(contents, contentBytes);
      this.#checkCrc(payloadAt, crc32(contents));
    } else {
      this.#checkCrc(payloadAt, contentBytes === 0 ? 0 : crc32(contents));
    }
    this.#readRuns(block, runCount, pages, bitmapAt);
    this.#readBitmap(bitmapAt, differencesAt, pages, zeroPages);
    if (payloadAt > differencesAt) contents = this.#restore(block, runCount, differencesAt, contents);
    this.#batches += 1;
    this.#pages += pages;
    this.#zeroPages += zeroPages;
    this.#handler.onBatch(block, this.#runs, runCount, this.#zeroFlags, contents);
  }

  /** Makes pages of differences, and keeps them all. */
  #restore(block: number, runCount: number, bitmapAt: number, given: Buffer): Buffer {
    const kept = this.#kept as KeptPages;
    this.#whole ??= pageContents(Buffer.allocUnsafeSlow(MAXIMUM_CONTENT_BYTES));
    const contents = this.#whole;
    given.copy(contents.bytes);
    let index = 0;
    let at = 0;
    for (let run = 0; run < runCount; run += 1) {
      const first = this.#runs[2 * run] as number;
      const end = first + (this.#runs[2 * run + 1] as number);
      for (let page = first; page < end; page += 1, index += 1) {
        const marked = (((this.#frame[bitmapAt + (index >> 3)] as number) >> (index & 7)) & 1) === 1;
        if (marked && (this.#zeroFlags[index] === 1 || !kept.has(block, page))) {
          throw failure("GODWIT_BULK_FRAME", `a difference from page ${page}, which isn't kept`);
        }
        if (this.#zeroFlags[index] === 1) continue;
        if (marked) kept.fromDifference(page, contents, at);
        else kept.keep(block, page, contents, at);
        at += 1;
      }
    }
    const last = this.#frame[bitmapAt + (index >> 3)] as number;
    if ((index & 7) !== 0 && last >> (index & 7) !== 0) {
      throw failure("GODWIT_BULK_FRAME", "a bitmap of differences with more pages than the batch");
    }
    return contents.bytes.subarray(0, given.length);
  }

  #decompress(payload: Buffer, contentBytes: number): Buffer {
    if (((payload[ZSTD_DESCRIPTOR_AT] ?? 0) & ZSTD_CHECKSUM_FLAG) === 0) {
      throw failure("GODWIT_BULK_FRAME", "a compressed batch without a checksum");
    }
    this.#zstd ??= bestZstd({}, MAXIMUM_CONTENT_BYTES);
    try {
      return this.#zstd.decompress(payload, contentBytes);
    } catch (thrown) {
      throw failure(
        "GODWIT_BULK_FRAME",
        "a batch that can't be decompressed to the announced length",
        thrown,
      );
    }
  }

  #decompressLz4(payload: Buffer, contentBytes: number): Buffer {
    try {
      return decompressLz4(payload, contentBytes);
    } catch (thrown) {
      throw failure("GODWIT_BULK_FRAME", "a batch of LZ4 that can't be decompressed", thrown);
    }
  }

  #checkCrc(headEnd: number, contentCrc: number): void {
    const announced = this.#frame.readUInt32LE(AT.crc);
    this.#frame.writeUInt32LE(0, AT.crc);
    if (crc32(this.#frame.subarray(0, headEnd), contentCrc) !== announced) {
      throw wrongChecksum();
    }
  }

  #readRuns(block: number, runCount: number, pages: number, end: number): void {
    const limit = this.#blockPages[block] as number;
    let at = HEAD_BYTES;
    let page = 0;
    let sum = 0;
    for (let index = 0; index < runCount; index += 1) {
      for (let part = 0; part < 2; part += 1) {
        let value = 0;
        let scale = 1;
        for (;;) {
          const byte = at < end ? (this.#frame[at] as number) : 256;
          if (byte === 256 || scale > 2 ** 28) throw failure("GODWIT_BULK_FRAME", "a run that doesn't end");
          at += 1;
          value += (byte & 127) * scale;
          scale *= 128;
          if (byte < 128) break;
        }
        if (part === 0) page += value;
        else if (value === 0) throw failure("GODWIT_BULK_FRAME", "an empty run");
        this.#runs[2 * index + part] = part === 0 ? page : value;
        if (part === 1) {
          page += value;
          sum += value;
        }
      }
      if (page > limit) throw failure("GODWIT_BULK_FRAME", "a run beyond the RAM block's end");
    }
    if (at !== end || sum !== pages)
      throw failure("GODWIT_BULK_FRAME", "runs that don't add up to the batch's pages");
  }

  #readBitmap(from: number, to: number, pages: number, zeroPages: number): void {
    if (from === to) {
      this.#zeroFlags.fill(zeroPages === 0 ? 0 : 1, 0, pages);
      return;
    }
    let zeros = 0;
    for (let page = 0; page < 8 * (to - from); page += 1) {
      const flag = ((this.#frame[from + (page >> 3)] as number) >> (page & 7)) & 1;
      if (page < pages) this.#zeroFlags[page] = flag;
      else if (flag === 1) throw failure("GODWIT_BULK_FRAME", "a zero bitmap with more pages than the batch");
      zeros += flag;
    }
    if (zeros !== zeroPages) throw failure("GODWIT_BULK_FRAME", "a zero bitmap that contradicts the head");
  }

  #totals(type: number): void {
    const head = this.#frame;
    this.#checkCrc(HEAD_BYTES, 0);
    const announced: BulkTotals = {
      batches: head.readUInt32LE(AT.batches),
      pages: head.readUIntLE(AT.pagesSoFar, 6),
      zeroPages: head.readUIntLE(AT.zeroPagesSoFar, 6),
    };
    const own = this.totals;
    if (
      announced.batches !== own.batches ||
      announced.pages !== own.pages ||
      announced.zeroPages !== own.zeroPages
    ) {
      throw failure(
        "GODWIT_BULK_TOTALS",
        `the sender counts ${JSON.stringify(announced)}, arrived have ${JSON.stringify(own)}`,
      );
    }
    if (type === TYPE_GOODBYE) {
      this.#state = "ended";
      this.#handler.onGoodbye?.(own);
    } else {
      this.#handler.onEndOfSet?.(head.readUInt32LE(AT.set), own);
    }
  }
}

function wrongChecksum(cause?: unknown): GodwitError {
  return failure("GODWIT_BULK_CHECKSUM", "what arrived isn't what was sent: the checksum is wrong", cause);
}

function failure(code: ErrorCode, message: string, cause?: unknown): GodwitError {
  return new GodwitError(code, `bulk connection: ${message}`, {
    advice: "run the same version of Godwit on both hosts; if it comes again, report it",
    ...(cause === undefined ? {} : { cause }),
  });
}
