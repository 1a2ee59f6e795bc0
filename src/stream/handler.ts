import type { StreamLimits } from "./limits.ts";

/** A stretch of guest memory as QEMU names it. Blocks are referred to by their index in the list. */
export interface RamBlock {
  /** For example `pc.ram`; bytes as latin1. */
  readonly name: string;
  /** Bytes in use, as announced. */
  readonly usedBytes: number;
  /** Bytes of a host page behind it: 4096, or 2 MiB and more for huge pages (only known in post-copy streams). */
  readonly pageSizeBytes: number;
  /** Offset in its memory region; only with the capability `x-ignore-shared`. */
  readonly address?: number;
}

/** Which of the RAM sections: the first one with the list of blocks, one of many with pages, or the last. */
export type RamSectionKind = "start" | "part" | "end";

/**
 * Called by a {@link StreamReader} in the order of the stream. Pages are 4 KiB; `block` is the index in the list
 * that `ramStart` gave. All methods are optional. What a method throws comes out of `push` and ends the reader.
 */
export interface StreamHandler {
  /** The stream begins. */
  header?(version: number): void;
  /** The configuration record with its leading 07 and its subsections, verbatim. */
  configuration?(record: Uint8Array): void;
  /** The guest's memory is known. `totalBytes` is the sum of all blocks. */
  ramStart?(sectionId: number, blocks: readonly RamBlock[], totalBytes: number): void;
  /** A RAM section begins; never called for pages within one. */
  ramSectionStart?(kind: RamSectionKind): void;
  /** A page whose bytes are all `fill`; QEMU writes only 0. */
  zeroPage?(block: number, page: number, fill: number): void;
  /**
   * A page with its 4096 bytes at `content[offset…]`, valid only during the call. For blocks whose contents are
   * not wanted `content` is empty and `offset` 0.
   */
  page?(block: number, page: number, content: Uint8Array, offset: number): void;
  /** A RAM section is complete, footer included. */
  ramSectionEnd?(kind: RamSectionKind): void;
  /** A command; for PACKAGED (7) the payload is the package itself: see `readPackage`. Bytes are the caller's. */
  command?(type: number, payload: Uint8Array): void;
  /**
   * What has come looks like the whole device state with its description, and is about to be checked, which takes some
   * milliseconds: for those who can use it unchecked meanwhile. Whether it was the device state {@link deviceState} tells,
   * with the same number of bytes or another. Valid only during the call.
   */
  deviceStateUnchecked?(bytes: Uint8Array): void;
  /** Everything between the last RAM section and the end-of-stream byte, verbatim. Bytes are the caller's. */
  deviceState?(bytes: Uint8Array): void;
  /**
   * The description of the device state, JSON for `parseVmDescription`, verbatim; missing in post-copy streams and
   * with `suppress-vmdesc=on`. Bytes are the caller's.
   */
  description?(json: Uint8Array): void;
  /** The stream is complete. */
  end?(): void;
}

/** How a {@link StreamReader} treats page contents, and what it accepts. */
export interface StreamReaderOptions {
  /** false: `page` gets addresses only, contents are skipped. */
  readonly contents?: boolean;
  /** Asked once per block at the list of blocks: whether the contents of its pages are wanted. */
  readonly wantsContent?: (block: RamBlock, index: number) => boolean;
  /** Bounds for what must be kept whole; {@link DEFAULT_LIMITS}. */
  readonly limits?: Partial<StreamLimits>;
  /**
   * true: a stream that ends within the device state is accepted if its last byte is an end of stream. Only for
   * machines with `suppress-vmdesc=on`: such a stream can't be told from a truncated one.
   */
  readonly allowMissingDescription?: boolean;
}
