import { putName, putUint32, putUint64 } from "./bytes.ts";
import { COMMAND, writeCommand, writePing, writePostcopyListen, writePostcopyRun } from "./commands.ts";
import { MAGIC, PAGE_BYTES, RAM_FLAG, RAM_SECTION, RECORD, VERSION } from "./format.ts";
import type { RamBlock, RamSectionKind } from "./handler.ts";

/*
 * Functions that write one record at out[at…] and return the offset behind it. They allocate nothing; the caller
 * sees to it that there is room. A whole stream in order:
 * header, configuration (verbatim), RAM start, RAM parts, RAM end, device state (verbatim), end, description.
 */

/** Bytes of a section header `02 id` or `03 id`. */
export const RAM_PART_HEADER_BYTES = 5;
/** Bytes of EOS and footer. */
export const RAM_PART_END_BYTES = 13;
/** The most bytes a page takes: address, block name, contents. */
export const MAX_PAGE_RECORD_BYTES = 8 + 256 + PAGE_BYTES;

/** The first 8 bytes of a stream. The configuration record follows, as it was received. */
export function writeHeader(out: Uint8Array, at: number): number {
  return putUint32(out, putUint32(out, at, MAGIC), VERSION);
}

/**
 * The first RAM section, complete: `01`, the list of blocks, end, footer. A block's page size is written when it
 * is not 4096 (both QEMUs then have `postcopy-ram` on), its address when it is known (`x-ignore-shared`).
 */
export function writeRamStart(
  out: Uint8Array,
  at: number,
  sectionId: number,
  blocks: readonly RamBlock[],
): number {
  out[at] = RECORD.sectionStart;
  at = putName(out, putUint32(out, at + 1, sectionId), RAM_SECTION.name);
  at = putUint32(out, putUint32(out, at, RAM_SECTION.instance), RAM_SECTION.version);
  const totalBytes = blocks.reduce((sum, block) => sum + block.usedBytes, 0);
  at = putUint64(out, at, totalBytes + RAM_FLAG.memorySize);
  for (const block of blocks) {
    at = putUint64(out, putName(out, at, block.name), block.usedBytes);
    if (block.pageSizeBytes !== PAGE_BYTES) at = putUint64(out, at, block.pageSizeBytes);
    if (block.address !== undefined) at = putUint64(out, at, block.address);
  }
  return endRamSection(out, at, sectionId);
}

/** The most bytes {@link writeRamStart} takes for so many blocks. */
export function ramStartBytes(blockCount: number): number {
  return 5 + 4 + 8 + 8 + blockCount * (256 + 3 * 8) + RAM_PART_END_BYTES;
}

/** Begins a RAM section that holds pages. The first page in it must name its block. */
export function beginRamPart(
  out: Uint8Array,
  at: number,
  sectionId: number,
  kind: Exclude<RamSectionKind, "start"> = "part",
): number {
  out[at] = kind === "part" ? RECORD.sectionPart : RECORD.sectionEnd;
  return putUint32(out, at + 1, sectionId);
}

/**
 * A page with its contents, 4096 bytes at `source[sourceOffset…]`.
 * @param blockName undefined: the same block as the page before
 */
export function writePage(
  out: Buffer,
  at: number,
  blockName: string | undefined,
  page: number,
  source: Buffer,
  sourceOffset: number,
): number {
  at = putAddress(out, at, page, RAM_FLAG.page, blockName);
  source.copy(out, at, sourceOffset, sourceOffset + PAGE_BYTES);
  return at + PAGE_BYTES;
}

/** A page whose bytes are all `fill`. */
export function writeZeroPage(
  out: Uint8Array,
  at: number,
  blockName: string | undefined,
  page: number,
  fill = 0,
): number {
  at = putAddress(out, at, page, RAM_FLAG.zero, blockName);
  out[at] = fill;
  return at + 1;
}

/** Ends a RAM section: end of section, footer. */
export function endRamSection(out: Uint8Array, at: number, sectionId: number): number {
  at = putUint64(out, at, RAM_FLAG.endOfSection);
  out[at] = RECORD.footer;
  return putUint32(out, at + 1, sectionId);
}

/** The last RAM section, empty and complete. */
export function writeRamEnd(out: Uint8Array, at: number, sectionId: number): number {
  return endRamSection(out, beginRamPart(out, at, sectionId, "end"), sectionId);
}

/** The end of the stream. Only a description may follow. */
export function writeEndOfStream(out: Uint8Array, at: number): number {
  out[at] = RECORD.endOfStream;
  return at + 1;
}

/** The description of the device state, which QEMU reads and drops: it may be left out. */
export function writeDescription(out: Uint8Array, at: number, json: Uint8Array): number {
  out[at] = RECORD.description;
  at = putUint32(out, at + 1, json.length);
  out.set(json, at);
  return at + json.length;
}

/** What goes into a post-copy package. */
export interface PackageParts {
  /** FULL sections as received. */
  readonly deviceState: Uint8Array;
  /** The destination answers this number once the devices are loaded. */
  readonly ping?: number;
}

/** Bytes a package adds around the device state, with room to spare. */
export const PACKAGE_OVERHEAD_BYTES = 64;

/** A post-copy package: LISTEN, the device state, PING, RUN (a package without RUN is refused by QEMU). */
export function writePackage(out: Uint8Array, at: number, parts: PackageParts): number {
  const lengthAt = writeCommand(out, at, COMMAND.packaged, EMPTY_LENGTH) - 4;
  const start = lengthAt + 4;
  at = writePostcopyListen(out, start);
  out.set(parts.deviceState, at);
  at += parts.deviceState.length;
  if (parts.ping !== undefined) at = writePing(out, at, parts.ping);
  at = writePostcopyRun(out, at);
  putUint32(out, lengthAt, at - start);
  return at;
}

const EMPTY_LENGTH = new Uint8Array(4);

function putAddress(
  out: Uint8Array,
  at: number,
  page: number,
  flag: number,
  blockName: string | undefined,
): number {
  const flags = blockName === undefined ? flag | RAM_FLAG.sameBlock : flag;
  at = putUint32(out, putUint32(out, at, page >>> 20), (page << 12) | flags);
  return blockName === undefined ? at : putName(out, at, blockName);
}
