import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { GodwitError } from "../base/errors.ts";
import type { MemorySource } from "./memory-source.ts";
import { processRuns } from "./process-table.ts";

const PAGE_BYTES = 4096;

interface Place {
  descriptor: number;
  position: number;
  length: number;
}

/**
 * Reads and writes guest memory from outside, synchronously: for worker threads. Nothing is allocated per call. Runs of
 * 16 pages and more are read fastest (64 KiB). The guest may write meanwhile: what was read is one state of each page
 * only when the guest is paused, and only a guest that has not run yet may be written to, since nothing tells an
 * emulated processor that code has changed.
 */
export class GuestMemory {
  readonly #names: readonly string[];
  readonly #descriptors: number[] = [];
  /** Position of each block's first byte in its file; addresses of processes stay below 2^53. */
  readonly #positions: readonly number[];
  readonly #pageCounts: readonly number[];
  /** One for all calls: they come one after the other. */
  readonly #place: Place = { descriptor: -1, position: 0, length: 0 };

  /** @throws GodwitError `GODWIT_GUEST_MEMORY` when one can't be opened or belongs to another process by now */
  constructor(sources: readonly MemorySource[], access: "read" | "read and write" = "read") {
    this.#names = sources.map(({ block }) => block);
    this.#pageCounts = sources.map(({ usedBytes }) => Math.floor(usedBytes / PAGE_BYTES));
    this.#positions = sources.map(({ source }) => {
      return source.kind === "process" ? source.hostAddress : source.fileOffset;
    });
    try {
      for (const { block, source } of sources) this.#descriptors.push(open(block, source, access));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The position of a block among the sources, -1 where it can't be read from outside. */
  indexOf(block: string): number {
    return this.#names.indexOf(block);
  }

  /**
   * Reads `pageCount` pages of 4096 bytes from page `firstPage` on into `into` at `offset`, and gives the number of
   * bytes read, always all of them. A block is named by its position in the sources or, slower, by its name.
   * @throws GodwitError `GODWIT_GUEST_MEMORY` when the pages are outside the block or the process is gone
   */
  read(
    block: number | string,
    firstPage: number,
    pageCount: number,
    into: Uint8Array,
    offset: number,
  ): number {
    const { descriptor, position, length } = this.#locate(block, firstPage, pageCount);
    if (offset + length > into.byteLength) throw memoryError(`${length} bytes do not fit into the buffer`);
    for (let done = 0; done < length; ) {
      const count = readSome(descriptor, into, offset + done, length - done, position + done);
      if (count <= 0) throw gone(block);
      done += count;
    }
    return length;
  }

  /**
   * Writes `pageCount` pages from `from` at `offset` to page `firstPage` and what follows, and gives the number of bytes
   * written, always all of them.
   * @throws GodwitError `GODWIT_GUEST_MEMORY` when the pages are outside the block or the process is gone
   */
  write(block: number, firstPage: number, pageCount: number, from: Uint8Array, offset: number): number {
    const { descriptor, position, length } = this.#locate(block, firstPage, pageCount);
    for (let done = 0; done < length; ) {
      const count = writeSome(descriptor, from, offset + done, length - done, position + done);
      if (count <= 0) throw gone(block);
      done += count;
    }
    return length;
  }

  #locate(block: number | string, firstPage: number, pageCount: number): Place {
    const index = typeof block === "number" ? block : this.#names.indexOf(block);
    const descriptor = this.#descriptors[index];
    const blockPages = this.#pageCounts[index];
    const start = this.#positions[index];
    if (descriptor === undefined || blockPages === undefined || start === undefined) {
      throw memoryError(`there is no open block ${block}`);
    }
    if (!(firstPage >= 0 && pageCount >= 0 && firstPage + pageCount <= blockPages)) {
      throw memoryError(`pages ${firstPage} to ${firstPage + pageCount} are outside "${this.#names[index]}"`);
    }
    const place = this.#place;
    place.descriptor = descriptor;
    place.position = start + firstPage * PAGE_BYTES;
    place.length = pageCount * PAGE_BYTES;
    return place;
  }

  /** Closes all files; reads and writes fail from now on. */
  close(): void {
    for (const descriptor of this.#descriptors.splice(0)) closeSync(descriptor);
  }
}

function readSome(
  descriptor: number,
  into: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  try {
    return readSync(descriptor, into, offset, length, position);
  } catch (error) {
    throw memoryError(`reading guest memory failed: ${(error as Error).message}`, error);
  }
}

function writeSome(
  descriptor: number,
  from: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  try {
    return writeSync(descriptor, from, offset, length, position);
  } catch (error) {
    throw memoryError(`writing guest memory failed: ${(error as Error).message}`, error);
  }
}

function gone(block: number | string): GodwitError {
  return memoryError(`block ${block} cannot be reached any more: its QEMU is gone`);
}

function open(block: string, source: MemorySource["source"], access: "read" | "read and write"): number {
  const path = source.kind === "process" ? `/proc/${source.process.pid}/mem` : source.path;
  let descriptor: number;
  try {
    descriptor = openSync(path, access === "read" ? "r" : "r+");
  } catch (error) {
    throw memoryError(`"${block}" cannot be opened to ${access}: ${(error as Error).message}`, error);
  }
  // Looked at after opening: from here on the descriptor stays with what it was opened on.
  const same =
    source.kind === "process" ? processRuns(source.process) : fstatSync(descriptor).ino === source.inode;
  if (same) return descriptor;
  closeSync(descriptor);
  throw memoryError(`"${block}" cannot be read: ${path} belongs to something else by now`);
}

function memoryError(message: string, cause?: unknown): GodwitError {
  return new GodwitError("GODWIT_GUEST_MEMORY", message, {
    advice: "contents can come from QEMU's stream instead",
    cause,
  });
}
