import { MAX_PAGES } from "../pages/index.ts";
import { PAGE_BYTES } from "./format.ts";

/** What a stream may hold at most. Without such bounds a hostile stream decides how much memory we allocate. */
export interface StreamLimits {
  /**
   * All device sections together, and a post-copy package. A plain guest has some 14 KB of them, one with many
   * vCPUs and devices a few MB; 64 MiB leaves room for devices with large buffers.
   */
  readonly deviceStateBytes: number;
  /** The JSON description behind the device sections: some 100 KB plain, a few MB with hundreds of devices. */
  readonly descriptionBytes: number;
}

/** Used where the caller gives no limits. */
export const DEFAULT_LIMITS: StreamLimits = {
  deviceStateBytes: 64 * 1024 ** 2,
  descriptionBytes: 32 * 1024 ** 2,
};

/** A guest has one or two dozen RAM blocks; NUMA, hot-plugged memory and ROMs of many devices make it hundreds. */
export const MAX_BLOCKS = 1024;
/** One RAM block: what a set of pages can number. */
export const MAX_BLOCK_BYTES = MAX_PAGES * PAGE_BYTES;
/** Names go with a length of one byte. */
export const MAX_NAME_BYTES = 255;
/** QEMU has a few dozen capabilities, and writes only those that both sides must agree on: one or two. */
export const MAX_CAPABILITIES = 64;
