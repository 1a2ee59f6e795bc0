import { PAGE_BYTES } from "./format.ts";

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/**
 * Whether the page at an offset is all zero. Three probes settle nearly every other page; the rest is compared
 * with a page of zeros. (Comparing as floating point numbers would take -0 for 0.)
 */
export function isZeroPage(bytes: Buffer, offset: number): boolean {
  if (bytes.readInt32LE(offset) !== 0) return false;
  if (bytes.readInt32LE(offset + 2048) !== 0) return false;
  if (bytes.readInt32LE(offset + PAGE_BYTES - 4) !== 0) return false;
  return bytes.compare(ZERO_PAGE, 0, PAGE_BYTES, offset, offset + PAGE_BYTES) === 0;
}
