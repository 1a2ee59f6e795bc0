import { writeSync } from "node:fs";
import { GodwitError } from "../../base/errors.ts";
// From the files themselves: the rooms' doors bring much along, which costs each thread 0.1 s.
import { PageBitmap } from "../../pages/index.ts";
import { GuestMemory } from "../../qemu/guest-memory.ts";
import type { MemorySource } from "../../qemu/memory-source.ts";
import { RamSectionWriter, ramSectionBytes } from "../../stream/ram-section-writer.ts";
import type { BatchHandler, BulkTotals } from "../../wire/index.ts";
import { BATCH_PAGES } from "../scheduler.ts";
import type { HeadBlock } from "./source-protocol.ts";
import type { WriteLock } from "./write-lock.ts";

const PAGE_BYTES = 4096;

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/** What the threads that place pages share; see `DialOrder`. */
export interface PlacerInput {
  readonly sectionId: number;
  readonly blocks: readonly HeadBlock[];
  readonly requested: readonly SharedArrayBuffer[];
  readonly placed: readonly SharedArrayBuffer[];
  readonly memory: readonly MemorySource[];
  readonly listening: SharedArrayBuffer;
}

/** A host page that has begun to come. */
interface HostPage {
  readonly block: number;
  readonly from: number;
  pages: number;
}

/**
 * Puts each batch where the guest will look for it: into the memory of QEMU's process where that may be written, else
 * as one RAM section into its stream, written whole, under the lock that all threads share. A block never goes both
 * ways, since nothing orders them. Once QEMU listens for pages in any order it takes a larger host page only whole and in
 * one section: its batches, which follow each other on a connection, are gathered until all of it is there.
 */
export class Placer implements BatchHandler {
  readonly #lock: WriteLock;
  readonly #file: number;
  readonly #section: RamSectionWriter;
  readonly #memory: GuestMemory;
  /** Of each RAM block, its position in the memory that is written from outside, or -1. */
  readonly #direct: readonly number[];
  readonly #hostPages: readonly number[];
  readonly #listening: Int32Array;
  readonly #requested: readonly PageBitmap[];
  readonly #placed: readonly PageBitmap[];
  #gathering: HostPage | null = null;
  onEndOfSet: (set: number, totals: BulkTotals) => void = () => {};
  /** Told of each page that QEMU had asked for, once it is written. */
  onAnswered: (block: number, page: number) => void = () => {};

  /** @param file the descriptor of QEMU's migration socket */
  constructor(
    { sectionId, blocks, requested, placed, memory, listening }: PlacerInput,
    lock: WriteLock,
    file: number,
  ) {
    this.#lock = lock;
    this.#file = file;
    this.#hostPages = blocks.map(({ pageSizeBytes }) => pageSizeBytes / PAGE_BYTES);
    const mostPages = Math.max(BATCH_PAGES, ...this.#hostPages);
    this.#section = new RamSectionWriter(
      sectionId,
      blocks,
      Buffer.allocUnsafeSlow(ramSectionBytes(mostPages)),
    );
    this.#memory = new GuestMemory(memory, "read and write");
    this.#direct = blocks.map(({ name }) => this.#memory.indexOf(name));
    this.#listening = new Int32Array(listening);
    this.#requested = requested.map((shared) => PageBitmap.fromShared(shared));
    this.#placed = placed.map((shared) => PageBitmap.fromShared(shared));
  }

  /** @throws GodwitError `GODWIT_BULK_FRAME` when a host page comes in any other way than one piece after the other */
  onBatch(block: number, runs: Uint32Array, runCount: number, zeroFlags: Uint8Array, contents: Buffer): void {
    if (this.#direct[block]! >= 0) {
      this.#writeMemory(block, runs, runCount, zeroFlags, contents);
      this.#settle(block, runs, runCount);
      return;
    }
    const whole = this.#hostPages[block]! > 1 && Atomics.load(this.#listening, 0) !== 0;
    if (!whole) {
      this.#section.begin();
      this.#append(block, runs, runCount, zeroFlags, contents);
      this.#write(block, runs, runCount);
      return;
    }
    const hostPage = this.#piece(block, runs, runCount);
    this.#append(block, runs, runCount, zeroFlags, contents);
    const pages = this.#hostPages[block]!;
    if (hostPage.pages < pages) return;
    this.#gathering = null;
    this.#write(block, Uint32Array.of(hostPage.from, pages), 1);
  }

  /** Takes a batch as the next piece of a host page; the first one begins a section. */
  #piece(block: number, runs: Uint32Array, runCount: number): HostPage {
    const pages = this.#hostPages[block]!;
    const [first = 0, count = 0] = runs;
    let hostPage = this.#gathering;
    if (hostPage === null) {
      hostPage = { block, from: first, pages: 0 };
      this.#section.begin();
    }
    const follows = hostPage.block === block && first === hostPage.from + hostPage.pages;
    if (runCount !== 1 || !follows || hostPage.from % pages !== 0 || hostPage.pages + count > pages) {
      throw new GodwitError(
        "GODWIT_BULK_FRAME",
        `pages from ${first} are no piece of the host page at ${hostPage.from}`,
      );
    }
    hostPage.pages += count;
    this.#gathering = hostPage;
    return hostPage;
  }

  /** Stretch by stretch. A zero page needs writing only where the page was there before: unwritten memory is zero. */
  #writeMemory(
    block: number,
    runs: Uint32Array,
    runCount: number,
    zeroFlags: Uint8Array,
    contents: Buffer,
  ): void {
    const memory = this.#memory;
    const target = this.#direct[block]!;
    const placed = this.#placed[block]!;
    let index = 0;
    let offset = 0;
    for (let run = 0; run < runCount; run++) {
      const end = runs[2 * run]! + runs[2 * run + 1]!;
      for (let page = runs[2 * run]!; page < end; ) {
        const first = page;
        const zero = zeroFlags[index];
        for (; page < end && zeroFlags[index] === zero; page++) index += 1;
        if (zero !== 1) offset += memory.write(target, first, page - first, contents, offset);
        else {
          for (let at = placed.next(first, page); at >= 0; ) {
            memory.write(target, at, 1, ZERO_PAGE, 0);
            at = at + 1 < page ? placed.next(at + 1, page) : -1;
          }
        }
      }
    }
  }

  #append(block: number, runs: Uint32Array, runCount: number, zeroFlags: Uint8Array, contents: Buffer): void {
    const section = this.#section;
    let index = 0;
    let offset = 0;
    for (let run = 0; run < runCount; run++) {
      const first = runs[2 * run]!;
      const count = runs[2 * run + 1]!;
      for (let page = first; page < first + count; page++, index++) {
        if (zeroFlags[index] === 1) section.zero(block, page);
        else {
          section.page(block, page, contents, offset);
          offset += PAGE_BYTES;
        }
      }
    }
  }

  #write(block: number, runs: Uint32Array, runCount: number): void {
    const bytes = this.#section.finish();
    this.#lock.run(() => {
      for (let written = 0; written < bytes.length; ) {
        written += writeSync(this.#file, bytes, written, bytes.length - written);
      }
    });
    this.#settle(block, runs, runCount);
  }

  #settle(block: number, runs: Uint32Array, runCount: number): void {
    const requested = this.#requested[block]!;
    for (let run = 0; run < runCount; run++) {
      const end = runs[2 * run]! + runs[2 * run + 1]!;
      this.#placed[block]!.setRange(runs[2 * run]!, end);
      for (let page = requested.next(runs[2 * run]!, end); page >= 0; ) {
        if (requested.clear(page)) this.onAnswered(block, page);
        page = page + 1 < end ? requested.next(page + 1, end) : -1;
      }
    }
  }
}
