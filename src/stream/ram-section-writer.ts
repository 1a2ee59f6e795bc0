import { putUint32 } from "./bytes.ts";
import { streamError } from "./errors.ts";
import { PAGE_BYTES, RAM_FLAG } from "./format.ts";
import type { RamBlock, RamSectionKind } from "./handler.ts";
import {
  beginRamPart,
  endRamSection,
  MAX_PAGE_RECORD_BYTES,
  RAM_PART_END_BYTES,
  RAM_PART_HEADER_BYTES,
} from "./writer.ts";

/** Bytes of a buffer in which any `pageCount` pages make one section. */
export function ramSectionBytes(pageCount: number): number {
  return RAM_PART_HEADER_BYTES + pageCount * MAX_PAGE_RECORD_BYTES + RAM_PART_END_BYTES;
}

/**
 * Composes RAM sections in one buffer, again and again, without allocating per page:
 * `begin`, any number of `page` and `zero`, `finish`.
 */
export class RamSectionWriter {
  readonly #out: Buffer;
  readonly #sectionId: number;
  readonly #names: Buffer[];
  #at = 0;
  #block = -1;
  #pages = 0;

  /**
   * @param blocks in the order of their indices
   * @param buffer where sections are built; {@link ramSectionBytes} tells how large
   */
  constructor(sectionId: number, blocks: readonly RamBlock[], buffer: Buffer) {
    this.#sectionId = sectionId;
    this.#names = blocks.map((block) => Buffer.from(` ${block.name}`, "latin1"));
    for (const name of this.#names) name[0] = name.length - 1;
    this.#out = buffer;
  }

  /** Pages in the section so far. */
  get pageCount(): number {
    return this.#pages;
  }

  /** Whether one more page of any kind is sure to fit. */
  get hasRoom(): boolean {
    return this.#at + MAX_PAGE_RECORD_BYTES + RAM_PART_END_BYTES <= this.#out.length;
  }

  /** Begins a section anew; views of the last one become invalid. */
  begin(kind: Exclude<RamSectionKind, "start"> = "part"): void {
    this.#at = beginRamPart(this.#out, 0, this.#sectionId, kind);
    this.#block = -1;
    this.#pages = 0;
  }

  /**
   * Appends a page with the 4096 bytes at `source[sourceOffset…]`.
   * @throws GodwitError `GODWIT_STREAM_OVERSIZED` when the buffer is full: ask `hasRoom`
   */
  page(block: number, page: number, source: Buffer, sourceOffset: number): void {
    const at = this.#address(block, page, RAM_FLAG.page);
    source.copy(this.#out, at, sourceOffset, sourceOffset + PAGE_BYTES);
    this.#at = at + PAGE_BYTES;
  }

  /** Appends a page of zeros. @throws GodwitError `GODWIT_STREAM_OVERSIZED` when the buffer is full */
  zero(block: number, page: number): void {
    const at = this.#address(block, page, RAM_FLAG.zero);
    this.#out[at] = 0;
    this.#at = at + 1;
  }

  /** Ends the section. @returns it complete, as a view into the buffer, valid until the next `begin` */
  finish(): Buffer {
    this.#at = endRamSection(this.#out, this.#at, this.#sectionId);
    return this.#out.subarray(0, this.#at);
  }

  #address(block: number, page: number, flag: number): number {
    const out = this.#out;
    if (!this.hasRoom) throw streamError("GODWIT_STREAM_OVERSIZED", "a RAM section fills its buffer");
    const same = block === this.#block;
    let at = putUint32(out, this.#at, page >>> 20);
    at = putUint32(out, at, (page << 12) | flag | (same ? RAM_FLAG.sameBlock : 0));
    this.#pages++;
    if (same) return at;
    const name = this.#names[block];
    if (name === undefined) throw streamError("GODWIT_STREAM_UNKNOWN_BLOCK", `RAM block number ${block}`);
    this.#block = block;
    return at + name.copy(out, at);
  }
}
