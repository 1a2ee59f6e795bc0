import { crc32 } from "node:zlib";
import { GodwitError } from "../../base/errors.ts";
import { CompressionChoice, type CompressionMode } from "./choice.ts";
import { Compressor, DEFAULT_ZSTD_LEVEL } from "./compressor.ts";
import {
  AT,
  type BulkTotals,
  CODEC_LZ4,
  CODEC_RAW,
  CODEC_ZSTD,
  HEAD_BYTES,
  MAGIC,
  MAXIMUM_BATCH_PAGES,
  MAXIMUM_BITMAP_BYTES,
  MAXIMUM_FRAME_BYTES,
  PAGE_BYTES,
  PREFIX_BYTES,
  TYPE_BATCH,
  TYPE_END_OF_SET,
  TYPE_GOODBYE,
} from "./format.ts";
import { type KeptPages, pageContents } from "./kept-pages.ts";
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
  /** What the connection carried before; without it every page travels whole. */
  readonly kept?: KeptPages;
}

/** What an encoder has done. */
export interface EncoderCounters extends BulkTotals {
  /** Contents of the pages that weren't zero. */
  readonly contentBytes: number;
  /** Frames as they go to the connection, before TLS. */
  readonly frameBytes: number;
  readonly compressedBatches: number;
  /** Pages that travelled as their difference from what was sent before. */
  readonly differencePages: number;
}

/** Turns pages into bulk frames, for one connection. Allocates nothing per page. */
export class BatchEncoder {
  readonly #compressor: Compressor;
  /** Of its own, since what it sees says nothing of how whole pages shrink. */
  readonly #differences: Compressor;
  readonly #kept: KeptPages | undefined;
  readonly #choice: CompressionChoice;
  readonly #mode: CompressionMode;
  readonly #own = Buffer.allocUnsafeSlow(MAXIMUM_FRAME_BYTES);
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  readonly #bitmap = Buffer.alloc(MAXIMUM_BITMAP_BYTES);
  readonly #differenceBitmap = Buffer.alloc(MAXIMUM_BITMAP_BYTES);
  #hurried = false;
  #sequence = 0;
  #batches = 0;
  #pages = 0;
  #zeroPages = 0;
  #contentBytes = 0;
  #frameBytes = 0;
  #compressedBatches = 0;
  #differencePages = 0;

  constructor(options: EncoderOptions = {}) {
    this.#mode = options.compression ?? "zstd";
    const codec = this.#mode === "lz4" ? "lz4" : "zstd";
    const level = options.level ?? DEFAULT_ZSTD_LEVEL;
    this.#compressor = new Compressor(level, codec);
    this.#differences = new Compressor(level, codec);
    // A difference is as long as its page until it is compressed.
    this.#kept = this.#mode === "none" ? undefined : options.kept;
    this.#choice = new CompressionChoice(this.#mode, options.meter);
  }

  /**
   * Whether speed counts more than bytes from now on. Where the processor was the limit so far, `auto` then leaves
   * batches as they are; a link that has held up the sender is helped best by fewer bytes.
   */
  set hurried(hurried: boolean) {
    this.#hurried = hurried && this.#mode === "auto" && !this.#choice.linkWasLimit;
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
      differencePages: this.#differencePages,
    };
  }

  /**
   * A batch of pages of one RAM block.
   * @param runs pairs of first page and page count, ascending and apart
   * @param runCount pairs in use
   * @param pages the pages' contents back to back; left alone, unless they are in `target`'s own `pageArea`, which
   * saves a copy
   * @param target where the frame is built, {@link MAXIMUM_FRAME_BYTES} long; without one the encoder's own
   * @param again whether these pages will probably be sent again: what was carried of them is kept, and those that were
   * kept travel as differences
   * @returns the frame, a view of `target` or of the encoder's own buffer until the next call
   * @throws GodwitError `GODWIT_BULK_BATCH` for a batch that the receiver would refuse
   */
  encode(
    block: number,
    runs: Uint32Array,
    runCount: number,
    pages: Buffer,
    target: Buffer = this.#own,
    again = false,
  ): Buffer {
    const pageCount = judgeBatch(runs, runCount, pages, target);
    const prefix = this.#prefix;
    const kept = again ? this.#kept : undefined;
    if (kept !== undefined) this.#differenceBitmap.fill(0);
    const zeroCount = this.#findZeros(pages, pageCount);
    const mixed = zeroCount > 0 && zeroCount < pageCount;
    const runEnd = writeRuns(prefix, runs, runCount);
    const bitmapBytes = mixed ? (pageCount + 7) >> 3 : 0;
    let prefixBytes = runEnd + this.#bitmap.copy(prefix, runEnd, 0, bitmapBytes);
    const contentBytes = (pageCount - zeroCount) * PAGE_BYTES;

    let contentCrc = 0;
    let compressed: Buffer | undefined;
    let differences = 0;
    if (contentBytes > 0) {
      let contents = pages.length === contentBytes ? pages : pages.subarray(0, contentBytes);
      if (mixed) {
        this.#pack(pages, pageCount, target);
        contents = target.subarray(PREFIX_BYTES, PREFIX_BYTES + contentBytes);
      } else if (kept !== undefined && !isInPlace(pages, target)) {
        contents.copy(target, PREFIX_BYTES);
        contents = target.subarray(PREFIX_BYTES, PREFIX_BYTES + contentBytes);
      }
      if (kept !== undefined) differences = this.#keep(kept, block, runs, runCount, contents);
      compressed =
        2 * differences * PAGE_BYTES > contentBytes
          ? this.#differences.compress(contents)
          : this.#compress(contents);
      // zstd has a checksum of its own.
      if (compressed === undefined || this.#compressor.codec === "lz4") contentCrc = crc32(contents);
      if (compressed !== undefined) {
        compressed.copy(target, PREFIX_BYTES);
      } else {
        if (!mixed && kept === undefined && !isInPlace(pages, target)) contents.copy(target, PREFIX_BYTES);
      }
    }
    if (kept !== undefined) {
      prefixBytes += this.#differenceBitmap.copy(prefix, prefixBytes, 0, (pageCount + 7) >> 3);
    }
    const payloadBytes = compressed?.length ?? contentBytes;

    this.#writeHead(prefix, TYPE_BATCH);
    prefix[AT.codec] = compressed === undefined ? CODEC_RAW : this.#codec;
    prefix[AT.keeping] = kept === undefined ? 0 : 1;
    prefix.writeUInt32LE(payloadBytes, AT.payloadBytes);
    prefix.writeUInt16LE(block, AT.block);
    prefix.writeUInt16LE(runCount, AT.runs);
    prefix.writeUInt16LE(pageCount, AT.pages);
    prefix.writeUInt16LE(zeroCount, AT.zeroPages);
    prefix.writeUInt32LE(contentBytes, AT.contentBytes);
    prefix.writeUInt16LE(runEnd - HEAD_BYTES, AT.runBytes);
    prefix.writeUInt16LE(bitmapBytes, AT.bitmapBytes);
    prefix.writeUInt32LE(crc32(prefix.subarray(0, prefixBytes), contentCrc), AT.crc);
    prefix.copy(target, PREFIX_BYTES - prefixBytes, 0, prefixBytes);

    this.#batches += 1;
    this.#pages += pageCount;
    this.#zeroPages += zeroCount;
    this.#contentBytes += contentBytes;
    this.#frameBytes += prefixBytes + payloadBytes;
    this.#differencePages += differences;
    if (compressed !== undefined) this.#compressedBatches += 1;
    return target.subarray(PREFIX_BYTES - prefixBytes, PREFIX_BYTES + payloadBytes);
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
    this.#frameBytes += HEAD_BYTES;
    return target.subarray(0, HEAD_BYTES);
  }

  #writeHead(target: Buffer, type: number): void {
    target.fill(0, 0, HEAD_BYTES);
    target[0] = MAGIC;
    target[AT.type] = type;
    target.writeUInt32LE(this.#sequence, AT.sequence);
    this.#sequence = (this.#sequence + 1) >>> 0;
  }

  get #codec(): number {
    return this.#compressor.codec === "lz4" ? CODEC_LZ4 : CODEC_ZSTD;
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
  #pack(pages: Buffer, pageCount: number, target: Buffer): void {
    const bitmap = this.#bitmap;
    let position = PREFIX_BYTES;
    let page = 0;
    while (page < pageCount) {
      while (page < pageCount && isMarked(bitmap, page)) page += 1;
      const first = page;
      while (page < pageCount && !isMarked(bitmap, page)) page += 1;
      position += pages.copy(target, position, first * PAGE_BYTES, page * PAGE_BYTES);
    }
  }

  /** Keeps the pages that aren't zero. @returns how many of them are differences now, marked in the bitmap for them */
  #keep(kept: KeptPages, block: number, runs: Uint32Array, runCount: number, bytes: Buffer): number {
    const contents = pageContents(bytes);
    const bitmap = this.#differenceBitmap;
    let differences = 0;
    let index = 0;
    let at = 0;
    for (let run = 0; run < runCount; run += 1) {
      const first = runs[2 * run] as number;
      const end = first + (runs[2 * run + 1] as number);
      for (let page = first; page < end; page += 1, index += 1) {
        if (isMarked(this.#bitmap, index)) continue;
        if (kept.toDifference(block, page, contents, at)) {
          bitmap[index >> 3] = (bitmap[index >> 3] as number) | (1 << (index & 7));
          differences += 1;
        }
        at += 1;
      }
    }
    return differences;
  }

  #compress(contents: Buffer): Buffer | undefined {
    if (this.#hurried || !this.#choice.wantsCompression()) {
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

function isInPlace(pages: Buffer, target: Buffer): boolean {
  return pages.buffer === target.buffer && pages.byteOffset === target.byteOffset + PREFIX_BYTES;
}

/** The batch's number of pages, after a look at everything that the receiver will look at. */
function judgeBatch(runs: Uint32Array, runCount: number, pages: Buffer, target: Buffer): number {
  let count = 0;
  let end = 0;
  let ascending = runCount >= 1 && runCount <= MAXIMUM_BATCH_PAGES;
  for (let index = 0; ascending && index < runCount; index += 1) {
    const first = runs[2 * index] as number;
    const length = runs[2 * index + 1] as number;
    ascending = first >= end && length > 0;
    end = first + length;
    count += length;
  }
  if (!ascending || count > MAXIMUM_BATCH_PAGES || pages.length < count * PAGE_BYTES) {
    throw new GodwitError(
      "GODWIT_BULK_BATCH",
      `a batch of ${runCount} runs with ${count} pages in ${pages.length} bytes: ` +
        `runs must ascend and hold 1 to ${MAXIMUM_BATCH_PAGES} pages`,
    );
  }
  if (target.length < MAXIMUM_FRAME_BYTES) {
    throw new GodwitError("GODWIT_BULK_BATCH", `a frame buffer of ${target.length} bytes is too small`);
  }
  return count;
}

function writeRuns(prefix: Buffer, runs: Uint32Array, runCount: number): number {
  let at = HEAD_BYTES;
  let end = 0;
  for (let index = 0; index < runCount; index += 1) {
    const first = runs[2 * index] as number;
    const length = runs[2 * index + 1] as number;
    at = writeVarint(prefix, at, first - end);
    at = writeVarint(prefix, at, length);
    end = first + length;
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
