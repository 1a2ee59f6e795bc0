/**
 * The layout of bulk frames, shared by encoder and decoder. A frame is a head of 32 bytes, little-endian, and for a
 * batch its runs, its zero bitmap, its bitmap of differences and its payload:
 *
 * | offset | batch | end-of-set, goodbye |
 * |---|---|---|
 * | 0 | u8 `0x47` | the same |
 * | 1 | u8 type: 1 | u8 type: 2, 3 |
 * | 2 | u8 codec: 0 as it is, 1 zstd, 2 LZ4 | 0 |
 * | 3 | u8 1 if both ends keep these pages, otherwise 0 | 0 |
 * | 4 | u32 payload bytes | u32 batches so far |
 * | 8 | u32 CRC-32 | u32 CRC-32 |
 * | 12 | u32 sequence number | the same |
 * | 16 | u16 RAM block | u48 pages so far |
 * | 18 | u16 runs | |
 * | 20 | u16 pages | |
 * | 22 | u16 zero pages | u48 zero pages so far |
 * | 24 | u32 bytes of contents | |
 * | 28 | u16 bytes of runs | u32 set |
 * | 30 | u16 bytes of zero bitmap | |
 *
 * A run is two LEB128 numbers: the pages between the end of the run before and its first page, and its length in
 * pages. The bitmap (bit i of byte i>>3: page i of the batch is zero) is there only when some but not all pages
 * are zero. Contents are the other pages, back to back. The CRC goes over the contents, unless zstd compressed
 * them, then over head (with 0 for the CRC itself), runs and bitmaps. zstd has its own checksum of what the contents
 * were before, which the receiver demands. LZ4 is one block, behind a u32 with the length of what it holds.
 *
 * Of pages that both ends keep those marked in a second bitmap, one bit per page of the batch, are differences from
 * what is kept of them (`kept-pages.ts`).
 */
export const HEAD_BYTES = 32;

/** x86's base page, QEMU's target page. */
export const PAGE_BYTES = 4096;

/**
 * The most pages in a batch. 1 MiB is where zstd has nearly all of its ratio and a batch still passes a 1 Gbit/s
 * link in 9 ms, so that a worker's buffers, and the wait behind one batch, stay small.
 */
export const MAXIMUM_BATCH_PAGES = 256;

/** The most bytes of contents in a batch. */
export const MAXIMUM_CONTENT_BYTES = MAXIMUM_BATCH_PAGES * PAGE_BYTES;

/** Two numbers below 2^32 each, five bytes each. */
export const MAXIMUM_RUN_BYTES = MAXIMUM_BATCH_PAGES * 10;

/** One bit per page. */
export const MAXIMUM_BITMAP_BYTES = MAXIMUM_BATCH_PAGES / 8;

/** Room before the contents for everything else of a frame, rounded up so that contents can be page-aligned. */
export const PREFIX_BYTES = 4096;

/** The largest frame: contents are stored as they are where zstd would make them larger. */
export const MAXIMUM_FRAME_BYTES = PREFIX_BYTES + MAXIMUM_CONTENT_BYTES;

/**
 * The place in a frame buffer of {@link MAXIMUM_FRAME_BYTES} where the pages of a batch can be read to, so that the
 * encoder needs no copy of them.
 */
export function pageArea(frameBuffer: Buffer): Buffer {
  return frameBuffer.subarray(PREFIX_BYTES, MAXIMUM_FRAME_BYTES);
}

/** The first byte of every frame. */
export const MAGIC = 0x47;

/** The second: what the frame is. */
export const TYPE_BATCH = 1;
export const TYPE_END_OF_SET = 2;
export const TYPE_GOODBYE = 3;

/** How the contents of a batch travel. */
export const CODEC_RAW = 0;
export const CODEC_ZSTD = 1;
export const CODEC_LZ4 = 2;

/** The fields' places in the head. */
export const AT = {
  type: 1,
  codec: 2,
  keeping: 3,
  payloadBytes: 4,
  batches: 4,
  crc: 8,
  sequence: 12,
  block: 16,
  pagesSoFar: 16,
  runs: 18,
  pages: 20,
  zeroPages: 22,
  zeroPagesSoFar: 22,
  contentBytes: 24,
  runBytes: 28,
  set: 28,
  bitmapBytes: 30,
} as const;

/** What has passed one bulk connection so far. */
export interface BulkTotals {
  readonly batches: number;
  /** Pages named in batches, the zero ones among them. */
  readonly pages: number;
  readonly zeroPages: number;
}
