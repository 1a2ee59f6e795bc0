import { createRequire } from "node:module";

/** The length of what a block holds, little-endian, in front of it. */
const LENGTH_BYTES = 4;

type Library = typeof import("lz4-napi");
let library: Library | undefined;

/** Loaded with the first use: few migrations need it, and each start of a thread would pay for it. */
function lz4(): Library {
  library ??= createRequire(import.meta.url)("lz4-napi") as Library;
  return library;
}

/** One LZ4 block with the length of what it holds in front. */
export function compressLz4(contents: Buffer): Buffer {
  return lz4().compressSync(contents);
}

/**
 * What a block of {@link compressLz4} holds.
 * @param bytes how much that must be: nothing else is ever allocated
 * @throws Error for a block of another length, or a broken one
 */
export function decompressLz4(block: Buffer, bytes: number): Buffer {
  const announced = block.length < LENGTH_BYTES ? -1 : block.readUInt32LE();
  if (announced !== bytes) throw new Error(`an LZ4 block of ${announced} bytes instead of ${bytes}`);
  return lz4().uncompressSync(block);
}
