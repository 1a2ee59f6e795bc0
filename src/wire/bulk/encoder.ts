import { crc32 } from "node:zlib";
import { GodwitError } from "../../base/errors.ts";
import { CompressionChoice, type CompressionMode } from "./choice.ts";
import { Compressor, DEFAULT_ZSTD_LEVEL } from "./compressor.ts";
import {
  AT,
  type BulkTotals,
  CODEC_RAW,
  CODEC_ZSTD,
  HEAD_BYTES,
  MAGIC,
  MAXIMUM_BATCH_PAGES,
  MAXIMUM_BITMAP_BYTES,
  MAXIMUM_FRAME_BYTES,
  PAGE_BYTES,
  TYPE_BATCH,
  TYPE_END_OF_SET,
  TYPE_GOODBYE,
} from "./format.ts";
import type { LinkMeter } from "./link-meter.ts";
import { isZeroPage } from "./zero.ts";

/** How batches are packed. */
export interface EncoderOptions {
  /** Default `zstd`. `auto` needs `meter` and is `zstd` without one. */
  readonly compression?: CompressionMode;
  /** zstd's level, 1 to 19 or -2 to -7 (Node takes -1 for "default"); default 1. */
  readonly level?: number;
  /** The sender's meter, on which `auto` rests. */
  readonly meter?: LinkMeter;
}

/** What an encoder has done. */
export interface EncoderCounters extends BulkTotals {
  /** Contents of the pages that weren't zero. */
  readonly contentBytes: number;
  /** Frames as they go to the connection, before TLS. */
  readonly frameBytes: number;
  readonly compressedBatches: number;
}

/** Turns pages into bulk frames, for one connection. Allocates nothing per page. */
export class BatchEncoder {
  readonly #compressor: Compressor;
  readonly #choice: CompressionChoice;
  readonly #own = Buffer.allocUnsafeSlow(MAXIMUM_FRAME_BYTES);
  readonly #bitmap = Buffer.alloc(MAXIMUM_BITMAP_BYTES);
  #sequence = 0;
  #batches = 0;
  #pages = 0;
  #zeroPages = 0;
  #contentBytes = 0;
  #frameBytes = 0;
  #compressedBatches = 0;

  constructor(options: EncoderOptions = {}) {
    this.#compressor = new Compressor(options.level ?? DEFAULT_ZSTD_LEVEL);
    this.#choice = new CompressionChoice(options.compression ?? "zstd", options.meter);
  }

  get totals(): BulkTotals {
    return { batches: this.#batches, pages: this.#pages, zeroPages: this.#zeroPages };
  }

  get counters(): EncoderCounters {
    return {
      ...this.totals,
      contentBytes: this.#contentBytes,
      frameBytes: this.#frameBytes,
      compressedBatches: this.#compressedBatches,
    };
  }

  /**
   * A batch of pages of one RAM block.
   * @param runs pairs of first page and page count, ascending and apart
   * @param runCount pairs in use
   * @param pages the pages' contents back to back; read, never kept or changed
   * @param target where the frame is built, at least {@link MAXIMUM_FRAME_BYTES}; without one the encoder's own
   * @returns the frame, a view of `target` or of the encoder's own buffer until the next call
   * @throws GodwitError `GODWIT_BULK_BATCH` for a batch that the receiver would refuse
   */
  encode(
    block: number,
    runs: Uint32Array,
    runCount: number,
    pages: Buffer,
    target: Buffer = this.#own,
  ): Buffer {
    const runEnd = writeRuns(target, runs, runCount);
    const pageCount = countPages(runs, runCount, pages);
    const zeroCount = this.#findZeros(pages, pageCount);
    const mixed = zeroCount > 0 && zeroCount < pageCount;
    const bitmapBytes = mixed ? (pageCount + 7) >> 3 : 0;
    this.#bitmap.copy(target, runEnd, 0, bitmapBytes);
    const payloadAt = runEnd + bitmapBytes;
    const contentBytes = (pageCount - zeroCount) * PAGE_BYTES;

    let contents = pages;
    if (mixed) {
      this.#pack(pages, pageCount, target, payloadAt);
      contents = target.subarray(payloadAt, payloadAt + contentBytes);
    } else if (pages.length !== contentBytes) {
      contents = pages.subarray(0, contentBytes);
    }
    const contentCrc = contentBytes === 0 ? 0 : crc32(contents);
    const compressed = contentBytes === 0 ? undefined : this.#compress(contents);
    if (compressed !== undefined) compressed.copy(target, payloadAt);
    else if (!mixed && contentBytes > 0) contents.copy(target, payloadAt);
    const payloadBytes = compressed?.length ?? contentBytes;

    this.#writeHead(target, TYPE_BATCH);
    target[AT.codec] = compressed === undefined ? CODEC_RAW : CODEC_ZSTD;
    target.writeUInt32LE(payloadBytes, AT.payloadBytes);
    target.writeUInt16LE(block, AT.block);
    target.writeUInt16LE(runCount, AT.runs);
    target.writeUInt16LE(pageCount, AT.pages);
    target.writeUInt16LE(zeroCount, AT.zeroPages);
    target.writeUInt32LE(contentBytes, AT.contentBytes);
    target.writeUInt16LE(runEnd - HEAD_BYTES, AT.runBytes);
    target.writeUInt16LE(bitmapBytes, AT.bitmapBytes);
    target.writeUInt32LE(crc32(target.subarray(0, payloadAt), contentCrc), AT.crc);

    this.#batches += 1;
    this.#pages += pageCount;
    this.#zeroPages += zeroCount;
    this.#contentBytes += contentBytes;
    if (compressed !== undefined) this.#compressedBatches += 1;
    return this.#finish(target, payloadAt + payloadBytes);
  }

  /**
   * Says that a set of pages ends here: the receiver checks the totals and reports the set once all before it is
   * placed.
   */
  endOfSet(set: number, target: Buffer = this.#own): Buffer {
    return this.#totalsFrame(TYPE_END_OF_SET, set, target);
  }

  /** The last frame of a connection: what ends without it was cut. */
  goodbye(target: Buffer = this.#own): Buffer {
    return this.#totalsFrame(TYPE_GOODBYE, 0, target);
  }

  #totalsFrame(type: number, set: number, target: Buffer): Buffer {
    this.#writeHead(target, type);
    target.writeUInt32LE(this.#batches, AT.batches);
    target.writeUIntLE(this.#pages, AT.pagesSoFar, 6);
    target.writeUIntLE(this.#zeroPages, AT.zeroPagesSoFar, 6);
    target.writeUInt32LE(set, AT.set);
    target.writeUInt32LE(crc32(target.subarray(0, HEAD_BYTES)), AT.crc);
    return this.#finish(target, HEAD_BYTES);
  }

  #writeHead(target: Buffer, type: number): void {
    target.fill(0, 0, HEAD_BYTES);
    target[0] = MAGIC;
    target[AT.type] = type;
    target.writeUInt32LE(this.#sequence, AT.sequence);
    this.#sequence = (this.#sequence + 1) >>> 0;
  }

  #finish(target: Buffer, bytes: number): Buffer {
    this.#frameBytes += bytes;
    return target.subarray(0, bytes);
  }

  #findZeros(pages: Buffer, pageCount: number): number {
    const bitmap = this.#bitmap.fill(0);
    let zeros = 0;
    for (let page = 0; page < pageCount; page += 1) {
      if (!isZeroPage(pages, page * PAGE_BYTES)) continue;
      bitmap[page >> 3] = (bitmap[page >> 3] as number) | (1 << (page & 7));
      zeros += 1;
    }
    return zeros;
  }

  /** Copies the pages that aren't zero back to back, stretch by stretch. */
  #pack(pages: Buffer, pageCount: number, target: Buffer, at: number): void {
    const bitmap = this.#bitmap;
    let position = at;
    let page = 0;
    while (page < pageCount) {
      while (page < pageCount && isMarked(bitmap, page)) page += 1;
      const first = page;
      while (page < pageCount && !isMarked(bitmap, page)) page += 1;
      position += pages.copy(target, position, first * PAGE_BYTES, page * PAGE_BYTES);
    }
  }

  #compress(contents: Buffer): Buffer | undefined {
    if (!this.#choice.wantsCompression()) {
      this.#choice.stored(contents.length);
      return undefined;
    }
    const begin = performance.now();
    const compressed = this.#compressor.compress(contents);
    this.#choice.compressed(
      contents.length,
      compressed?.length ?? contents.length,
      performance.now() - begin,
    );
    return compressed;
  }
}

function isMarked(bitmap: Buffer, page: number): boolean {
  return ((bitmap[page >> 3] as number) & (1 << (page & 7))) !== 0;
}

function countPages(runs: Uint32Array, runCount: number, pages: Buffer): number {
  let count = 0;
  for (let index = 0; index < runCount; index += 1) count += runs[2 * index + 1] as number;
  if (count === 0 || count > MAXIMUM_BATCH_PAGES || pages.length < count * PAGE_BYTES) {
    throw new GodwitError(
      "GODWIT_BULK_BATCH",
      `a batch of ${count} pages with ${pages.length} bytes; it holds 1 to ${MAXIMUM_BATCH_PAGES} pages`,
    );
  }
  return count;
}

function writeRuns(target: Buffer, runs: Uint32Array, runCount: number): number {
  if (runCount < 1 || runCount > MAXIMUM_BATCH_PAGES || target.length < MAXIMUM_FRAME_BYTES) {
    throw new GodwitError(
      "GODWIT_BULK_BATCH",
      `a batch of ${runCount} runs for a buffer of ${target.length} bytes`,
    );
  }
  let at = HEAD_BYTES;
  let end = 0;
  for (let index = 0; index < runCount; index += 1) {
    const first = runs[2 * index] as number;
    const count = runs[2 * index + 1] as number;
    if (first < end || count === 0)
      throw new GodwitError("GODWIT_BULK_BATCH", "runs must ascend and not be empty");
    at = writeVarint(target, at, first - end);
    at = writeVarint(target, at, count);
    end = first + count;
  }
  return at;
}

function writeVarint(target: Buffer, at: number, value: number): number {
  let rest = value;
  let position = at;
  while (rest > 127) {
    target[position] = (rest & 127) | 128;
    position += 1;
    rest = Math.floor(rest / 128);
  }
  target[position] = rest;
  return position + 1;
}
