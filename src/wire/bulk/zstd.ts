import { createRequire } from "node:module";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";

/** What zstd is told, by the numbers of its own `ZSTD_cParameter`, which `node:zlib` has as constants. */
export type ZstdParameters = Readonly<Record<number, number>>;

/** zstd in single calls. What a call returns is good until the next call. */
export interface Zstd {
  /** One frame that holds these contents. */
  compress(contents: Buffer): Buffer;
  /**
   * What a frame holds.
   * @param bytes how much that must be: nothing else is ever allocated or written
   * @throws Error for a frame of another length, or a broken one
   */
  decompress(frame: Buffer, bytes: number): Buffer;
}

/** At least what zstd may make of so many bytes. */
export function boundOf(bytes: number): number {
  return bytes + (bytes >> 8) + 1024;
}

/** Through `node:zlib`: each call makes a context and a buffer, and the collector has them to clear away. */
export function nodeZstd(params: ZstdParameters): Zstd {
  return {
    compress: (contents) =>
      zstdCompressSync(contents, {
        // A chunk of the bound's size lets zstd write straight into it.
        chunkSize: boundOf(contents.length),
        pledgedSrcSize: contents.length,
        params,
      }),
    decompress: (frame, bytes) => {
      const contents = zstdDecompressSync(frame, { chunkSize: bytes, maxOutputLength: bytes });
      if (contents.length !== bytes) throw new Error(`${contents.length} bytes instead of ${bytes}`);
      return contents;
    },
  };
}

type Call = (...values: unknown[]) => unknown;

/** Stable functions of libzstd (1.4.0), and a thread's contexts: calls come one after the other, so it needs no more. */
interface Library {
  readonly compress: Call;
  readonly decompress: Call;
  readonly reset: Call;
  readonly setParameter: Call;
  readonly compressing: unknown;
  readonly decompressing: unknown;
}

/** `ZSTD_reset_session_and_parameters` */
const RESET_ALL = 3;

let library: Library | null | undefined;

/**
 * The libzstd that Node itself is made with: a second one, the system's, would have its own calls of itself bound to this
 * one's functions, which breaks both. Null where Node hides it or what calls it can't be loaded.
 */
function load(): Library | null {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const program = koffi.load(null);
    const func = (name: string, result: string, parts: string[]) => program.func(name, result, parts) as Call;
    const parts = ["void *", "void *", "size_t", "void *", "size_t"];
    return {
      compress: func("ZSTD_compress2", "size_t", parts),
      decompress: func("ZSTD_decompressDCtx", "size_t", parts),
      reset: func("ZSTD_CCtx_reset", "size_t", ["void *", "int"]),
      setParameter: func("ZSTD_CCtx_setParameter", "size_t", ["void *", "int", "int"]),
      compressing: func("ZSTD_createCCtx", "void *", [])(),
      decompressing: func("ZSTD_createDCtx", "void *", [])(),
    };
  } catch {
    return null;
  }
}

/**
 * The same libzstd called directly, its contexts and buffers kept from call to call; null where that can't be had. Loaded
 * with the first use.
 * @param contentBytes longest contents that it is given or makes
 */
export function directZstd(params: ZstdParameters, contentBytes: number): Zstd | null {
  library ??= load();
  const zstd = library;
  if (zstd === null) return null;
  const { compressing, decompressing } = zstd;
  let packed: Buffer | undefined;
  let unpacked: Buffer | undefined;
  return {
    compress: (contents) => {
      packed ??= Buffer.allocUnsafeSlow(boundOf(contentBytes));
      zstd.reset(compressing, RESET_ALL);
      for (const key in params) zstd.setParameter(compressing, Number(key), params[key]);
      const length = zstd.compress(compressing, packed, packed.length, contents, contents.length);
      return packed.subarray(0, lengthOf(length, packed.length));
    },
    decompress: (frame, bytes) => {
      unpacked ??= Buffer.allocUnsafeSlow(contentBytes);
      const length = zstd.decompress(decompressing, unpacked, bytes, frame, frame.length);
      if (lengthOf(length, bytes) !== bytes) throw new Error(`${length} bytes instead of ${bytes}`);
      return unpacked.subarray(0, bytes);
    },
  };
}

/** libzstd tells errors as lengths beyond all others. */
function lengthOf(length: unknown, atMost: number): number {
  if (typeof length !== "number" || length > atMost) throw new Error(`zstd gives up with ${length}`);
  return length;
}

/** The faster of the two that there is. */
export function bestZstd(params: ZstdParameters, contentBytes: number): Zstd {
  return directZstd(params, contentBytes) ?? nodeZstd(params);
}
