import { readName, readUint64 } from "./bytes.ts";
import { streamError } from "./errors.ts";
import { PAGE_BYTES } from "./format.ts";
import type { RamBlock } from "./handler.ts";
import type { ItemParser } from "./item-parser.ts";
import { MAX_BLOCK_BYTES, MAX_BLOCKS } from "./limits.ts";

interface Entry {
  name: string;
  usedBytes: number;
  readonly extras: number[];
}

/**
 * Reads the list behind MEM_SIZE: per block a name, its used bytes, then be64s that depend on capabilities: the
 * page size (post-copy and huge pages) and the offset in its region (`x-ignore-shared`). They are told from the
 * next entry by their first byte, which is 0 as no name is empty, and from the next RAM record by their low 12
 * bits, which are all 0.
 */
export class BlockListParser implements ItemParser {
  need = 0;
  done = false;
  readonly #entries: Entry[] = [];
  readonly #names = new Set<string>();
  readonly #ignoreShared: boolean;
  #leftBytes: number;

  /** @param totalBytes sum of all blocks, as the MEM_SIZE record says */
  constructor(totalBytes: number, ignoreShared: boolean) {
    this.#leftBytes = totalBytes;
    this.#ignoreShared = ignoreShared;
  }

  parse(bytes: Uint8Array, pos: number, end: number, base: number): number {
    while (pos < end) {
      const nameBytes = bytes[pos]!;
      if (nameBytes === 0 || this.#leftBytes === 0) {
        if (end - pos < 8) return this.#wait(8, pos);
        if ((bytes[pos + 7]! | (bytes[pos + 6]! & 0x0f)) !== 0) {
          this.#finish(base + pos);
          return pos;
        }
        this.#extra(readUint64(bytes, pos), base + pos);
        pos += 8;
        continue;
      }
      const size = 1 + nameBytes + 8;
      if (end - pos < size) return this.#wait(size, pos);
      this.#entry(readName(bytes, pos + 1, nameBytes), readUint64(bytes, pos + 1 + nameBytes), base + pos);
      pos += size;
    }
    return this.#wait(1, pos);
  }

  /** The blocks, once `done`. */
  blocks(): RamBlock[] {
    return this.#entries.map(({ name, usedBytes, extras }) => {
      const pageSizeBytes =
        (extras.length > (this.#ignoreShared ? 1 : 0) ? extras[0] : undefined) ?? PAGE_BYTES;
      return this.#ignoreShared
        ? { name, usedBytes, pageSizeBytes, address: extras.at(-1)! }
        : { name, usedBytes, pageSizeBytes };
    });
  }

  #wait(need: number, pos: number): number {
    this.need = need;
    return pos;
  }

  #entry(name: string, usedBytes: number, offset: number): void {
    if (this.#entries.length === MAX_BLOCKS) throw bad(`more than ${MAX_BLOCKS} RAM blocks`, offset);
    if (this.#names.has(name)) throw bad(`two RAM blocks are called "${name}"`, offset);
    if (usedBytes > this.#leftBytes) throw bad(`RAM block "${name}" exceeds the announced total`, offset);
    if (usedBytes > MAX_BLOCK_BYTES) {
      throw streamError("GODWIT_STREAM_OVERSIZED", `RAM block "${name}" has ${usedBytes} bytes`, offset);
    }
    this.#names.add(name);
    this.#leftBytes -= usedBytes;
    this.#entries.push({ name, usedBytes, extras: [] });
  }

  #extra(value: number, offset: number): void {
    const extras = this.#entries.at(-1)?.extras;
    if (extras === undefined) throw bad("a number stands before the first name", offset);
    if (extras.length === (this.#ignoreShared ? 2 : 1)) throw bad("too many numbers behind a name", offset);
    extras.push(value);
  }

  #finish(offset: number): void {
    if (this.#leftBytes !== 0) throw bad(`${this.#leftBytes} bytes of the total belong to no block`, offset);
    for (const { name, extras } of this.#entries) {
      if (this.#ignoreShared && extras.length === 0)
        throw bad(`RAM block "${name}" lacks its address`, offset);
      const pageSize = extras.length > (this.#ignoreShared ? 1 : 0) ? extras[0]! : PAGE_BYTES;
      const isPowerOfTwo = Number.isInteger(Math.log2(pageSize));
      if (!isPowerOfTwo || pageSize < PAGE_BYTES || pageSize > 2 ** 30) {
        throw bad(`RAM block "${name}" has a page size of ${pageSize} bytes`, offset);
      }
    }
    this.done = true;
  }
}

function bad(what: string, offset: number): Error {
  return streamError("GODWIT_STREAM_BAD_BLOCKS", what, offset);
}
