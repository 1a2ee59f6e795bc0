import { BlockListParser } from "./block-list.ts";
import { readName, readUint32, readUint64 } from "./bytes.ts";
import { capabilityError, streamError } from "./errors.ts";
import { PAGE_BYTES, RAM_FLAG, RECORD } from "./format.ts";
import type { RamBlock, RamSectionKind, StreamHandler, StreamReaderOptions } from "./handler.ts";
import type { ItemParser } from "./item-parser.ts";

const NOTHING = new Uint8Array(0);
const END_OF_SECTION_BYTES = 8 + 5;

/** Reads the inside of RAM sections, from behind their header to their footer. */
export class RamParser implements ItemParser {
  need = 0;
  done = true;
  /** Bytes of unwanted page content that the reader is to drop before it calls again. */
  skip = 0;
  sectionId = -1;
  blocks: readonly RamBlock[] = [];
  readonly #handler: StreamHandler;
  readonly #options: StreamReaderOptions;
  #kind: RamSectionKind = "start";
  #totalBytes = 0;
  #list: BlockListParser | undefined;
  #names: Uint8Array[] = [];
  #pageCounts: number[] = [];
  #wanted: boolean[] = [];
  /** The block of the page before; it stays valid from one section to the next, as QEMU's destination has it. */
  #block = -1;
  readonly #ignoreShared: () => boolean;

  constructor(handler: StreamHandler, options: StreamReaderOptions, ignoreShared: () => boolean) {
    this.#handler = handler;
    this.#options = options;
    this.#ignoreShared = ignoreShared;
  }

  /** A section header was read: what follows is for this parser until `done`. */
  begin(kind: RamSectionKind): void {
    this.#kind = kind;
    this.done = false;
    this.#handler.ramSectionStart?.(kind);
  }

  parse(bytes: Uint8Array, pos: number, end: number, base: number): number {
    while (pos < end && !this.done && this.skip === 0) {
      if (this.#list !== undefined) {
        pos = this.#parseList(this.#list, bytes, pos, end, base);
        if (this.#list !== undefined) return pos;
      }
      const before = pos;
      pos = this.#pages(bytes, pos, end, base);
      if (this.need === 0 && this.skip === 0 && pos < end) pos = this.#other(bytes, pos, end, base);
      if (pos === before || this.need > 0) return pos;
    }
    return pos;
  }

  /** The hot loop: page and zero records, as many as are whole; anything else is left to `#other`. */
  #pages(bytes: Uint8Array, pos: number, end: number, base: number): number {
    const handler = this.#handler;
    let block = this.#block;
    let pageCount = block < 0 ? 0 : this.#pageCounts[block]!;
    let wanted = block < 0 ? false : this.#wanted[block]!;
    this.need = 0;
    while (pos < end) {
      if (end - pos < 8) {
        this.need = 8;
        break;
      }
      const low =
        (bytes[pos + 4]! << 24) | (bytes[pos + 5]! << 16) | (bytes[pos + 6]! << 8) | bytes[pos + 7]!;
      const kind = low & 0xfff & ~RAM_FLAG.sameBlock;
      if (kind !== RAM_FLAG.page && kind !== RAM_FLAG.zero) break;
      let at = pos + 8;
      if ((low & RAM_FLAG.sameBlock) === 0) {
        const length = at < end ? bytes[at]! : 0;
        if (end - at < 1 + length) {
          this.need = 9 + length;
          break;
        }
        block = this.#find(bytes, at + 1, length, base + pos);
        pageCount = this.#pageCounts[block]!;
        wanted = this.#wanted[block]!;
        at += 1 + length;
      }
      const page = readUint32(bytes, pos) * 0x100000 + (low >>> 12);
      if (page >= pageCount) throw this.#outOfRange(block, page, base + pos);
      if (kind === RAM_FLAG.zero) {
        if (at >= end) {
          this.need = at - pos + 1;
          break;
        }
        handler.zeroPage?.(block, page, bytes[at]!);
        pos = at + 1;
      } else if (wanted) {
        if (end - at < PAGE_BYTES) {
          this.need = at - pos + PAGE_BYTES;
          break;
        }
        handler.page?.(block, page, bytes, at);
        pos = at + PAGE_BYTES;
      } else {
        handler.page?.(block, page, NOTHING, 0);
        pos = at + PAGE_BYTES;
        if (pos > end) {
          this.skip = pos - end;
          pos = end;
        }
      }
    }
    this.#block = block;
    return pos;
  }

  /** One record that is no page. */
  #other(bytes: Uint8Array, pos: number, end: number, base: number): number {
    const flags = readUint32(bytes, pos + 4) & 0xfff;
    if (flags === RAM_FLAG.endOfSection) return this.#endOfSection(bytes, pos, end, base);
    if (flags === RAM_FLAG.multifdFlush) return pos + 8;
    if (flags === RAM_FLAG.memorySize) {
      if (this.#kind !== "start" || this.blocks.length > 0) {
        throw streamError("GODWIT_STREAM_UNEXPECTED_RECORD", "a second list of RAM blocks", base + pos);
      }
      this.#totalBytes = readUint64(bytes, pos) - flags;
      this.#list = new BlockListParser(this.#totalBytes, this.#ignoreShared());
      return pos + 8;
    }
    const kind = flags & ~RAM_FLAG.sameBlock;
    if (kind === RAM_FLAG.xbzrle) throw capabilityError("xbzrle", "a delta-coded page", base + pos);
    if (kind === RAM_FLAG.compressedPage) throw capabilityError("compress", "a compressed page", base + pos);
    throw streamError(
      "GODWIT_STREAM_UNKNOWN_FLAGS",
      `a RAM record with flags 0x${flags.toString(16)}`,
      base + pos,
    );
  }

  #endOfSection(bytes: Uint8Array, pos: number, end: number, base: number): number {
    if (end - pos < END_OF_SECTION_BYTES) {
      this.need = END_OF_SECTION_BYTES;
      return pos;
    }
    if (bytes[pos + 8] !== RECORD.footer || readUint32(bytes, pos + 9) !== this.sectionId) {
      throw streamError("GODWIT_STREAM_BAD_FOOTER", "a RAM section without its footer", base + pos + 8);
    }
    if (this.blocks.length === 0) {
      throw streamError(
        "GODWIT_STREAM_UNEXPECTED_RECORD",
        "a RAM section without a list of blocks",
        base + pos,
      );
    }
    this.done = true;
    this.#handler.ramSectionEnd?.(this.#kind);
    return pos + END_OF_SECTION_BYTES;
  }

  #parseList(list: BlockListParser, bytes: Uint8Array, pos: number, end: number, base: number): number {
    const stopped = list.parse(bytes, pos, end, base);
    this.need = list.need;
    if (!list.done) return stopped;
    const { contents, wantsContent } = this.#options;
    this.#list = undefined;
    this.blocks = list.blocks();
    this.#names = this.blocks.map((block) => Buffer.from(block.name, "latin1"));
    this.#pageCounts = this.blocks.map((block) => Math.ceil(block.usedBytes / PAGE_BYTES));
    this.#wanted = this.blocks.map(
      (block, index) => (contents ?? true) && (wantsContent?.(block, index) ?? true),
    );
    this.#handler.ramStart?.(this.sectionId, this.blocks, this.#totalBytes);
    return stopped;
  }

  #find(bytes: Uint8Array, at: number, length: number, offset: number): number {
    const names = this.#names;
    for (let index = 0; index < names.length; index++) {
      const name = names[index]!;
      if (name.length !== length) continue;
      let matching = 0;
      while (matching < length && name[matching] === bytes[at + matching]) matching++;
      if (matching === length) return index;
    }
    const name = readName(bytes, at, length);
    throw streamError("GODWIT_STREAM_UNKNOWN_BLOCK", `a page of the unknown RAM block "${name}"`, offset);
  }

  #outOfRange(block: number, page: number, offset: number): Error {
    const known = this.blocks[block];
    if (known === undefined) {
      return streamError("GODWIT_STREAM_UNKNOWN_BLOCK", "a page without a RAM block before it", offset);
    }
    const size = `RAM block "${known.name}" has ${this.#pageCounts[block]} pages`;
    return streamError("GODWIT_STREAM_PAGE_OUT_OF_RANGE", `page ${page}: ${size}`, offset);
  }
}
