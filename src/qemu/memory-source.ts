import type { ProcessIdentity } from "./process-table.ts";

/** A RAM block that can be read from outside, and how. Plain data: it may go to a worker thread or process. */
export interface MemorySource {
  /** The block's name, as QEMU's migration stream has it. */
  readonly block: string;
  /** The block's used length in bytes, a multiple of 4096. */
  readonly usedBytes: number;
  /** QEMU's page size for the block: 4096, or that of the huge pages behind it. */
  readonly pageSizeBytes: number;
  readonly source: ProcessMemory | FileMemory;
}

/** The memory of a process from a virtual address on, read through /proc/PID/mem. */
export interface ProcessMemory {
  readonly kind: "process";
  readonly process: ProcessIdentity;
  readonly hostAddress: number;
}

/** A file that QEMU has mapped shared, from an offset on. */
export interface FileMemory {
  readonly kind: "file";
  readonly path: string;
  readonly fileOffset: number;
  /** Guards against another file under the same path. */
  readonly inode: number;
}
