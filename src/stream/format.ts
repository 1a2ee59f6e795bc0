/**
 * Numbers of QEMU's migration stream, version 3 (QEMU: `docs/devel/migration/main.rst`, "Stream structure").
 * All integers on the wire are big-endian.
 */

/** The first four bytes: "QEVM". */
export const MAGIC = 0x5145564d;
/** The only stream version QEMU has written since 2009. */
export const VERSION = 3;

/** A guest page on x86: the unit of all page numbers in Godwit, whatever the host's page size. */
export const PAGE_BYTES = 4096;

/** First bytes of top-level records. */
export const RECORD = {
  endOfStream: 0x00,
  sectionStart: 0x01,
  sectionPart: 0x02,
  sectionEnd: 0x03,
  sectionFull: 0x04,
  subsection: 0x05,
  description: 0x06,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const;

/** Flags in the low 12 bits of each be64 in a RAM section. */
export const RAM_FLAG = {
  zero: 0x02,
  memorySize: 0x04,
  page: 0x08,
  endOfSection: 0x10,
  sameBlock: 0x20,
  xbzrle: 0x40,
  compressedPage: 0x100,
  multifdFlush: 0x200,
} as const;

/** The name of the one iterative section that Godwit carries, and the version QEMU writes it in. */
export const RAM_SECTION = { name: "ram", instance: 0, version: 4 } as const;
