import { constants } from "node:zlib";
import { MAXIMUM_CONTENT_BYTES, PAGE_BYTES } from "./format.ts";
import { compressLz4 } from "./lz4.ts";
import { bestZstd, type Zstd, type ZstdParameters } from "./zstd.ts";

/** Fast enough for 1 Gbit/s on one core, and what QEMU's multifd uses by default. */
export const DEFAULT_ZSTD_LEVEL = 1;

/** A batch must shrink by this part, or it travels as it is: below, decompressing costs more than the bytes. */
const WORTHWHILE_SAVING = 0.05;

/** Pages looked at before a batch is compressed, when the one before didn't shrink. */
const SAMPLE_PAGES = 8;

/**
 * Compresses batches with zstd or LZ4, and notices memory that doesn't compress: after a batch that didn't shrink, eight
 * pages spread over the next one are tried first, at a thirtieth of the cost of the whole. One batch that shrinks
 * again ends that.
 */
export class Compressor {
  /** What it compresses with. */
  readonly codec: "zstd" | "lz4";
  readonly #zstd: Zstd;
  readonly #sample = Buffer.allocUnsafe(SAMPLE_PAGES * PAGE_BYTES);
  #doubtful = false;

  /** @param level zstd's */
  constructor(level = DEFAULT_ZSTD_LEVEL, codec: "zstd" | "lz4" = "zstd") {
    this.codec = codec;
    this.#zstd = bestZstd(zstdParameters(level), MAXIMUM_CONTENT_BYTES);
  }

  /** The compressed contents, good until the next call, or undefined when they should travel as they are. */
  compress(contents: Buffer): Buffer | undefined {
    if (this.#doubtful && contents.length > 2 * this.#sample.length && !this.#sampleShrinks(contents)) {
      return undefined;
    }
    const compressed = this.#pack(contents);
    this.#doubtful = compressed.length > contents.length * (1 - WORTHWHILE_SAVING);
    return this.#doubtful ? undefined : compressed;
  }

  #sampleShrinks(contents: Buffer): boolean {
    const stride = Math.floor(contents.length / PAGE_BYTES / SAMPLE_PAGES) * PAGE_BYTES;
    for (let index = 0; index < SAMPLE_PAGES; index += 1) {
      contents.copy(this.#sample, index * PAGE_BYTES, index * stride, index * stride + PAGE_BYTES);
    }
    const bytes = this.#pack(this.#sample).length;
    return bytes <= this.#sample.length * (1 - WORTHWHILE_SAVING);
  }

  #pack(contents: Buffer): Buffer {
    return this.codec === "lz4" ? compressLz4(contents) : this.#zstd.compress(contents);
  }
}

/**
 * zstd's own checksum of the contents (XXH64, four bytes of it) costs a tenth of a CRC-32 over them.
 *
 * Level 1 gets a table of twice the usual size and matches from 5 instead of 7 bytes on. On guest memory that leaves
 * 2 to 9 % less than plain level 1, also less than level 1 that looks back into earlier batches (which gains only
 * 0.5 to 1 %), at 0.8 to 1.1 times its speed.
 */
export function zstdParameters(level: number): ZstdParameters {
  const tuned =
    level === 1
      ? { [constants.ZSTD_c_windowLog]: 20, [constants.ZSTD_c_hashLog]: 15, [constants.ZSTD_c_minMatch]: 5 }
      : {};
  return { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1, ...tuned };
}
