import { writeSync } from "node:fs";
import { GodwitError } from "../../base/errors.ts";
// From the files themselves: the rooms' doors bring much along, which costs each thread 0.1 s.
import { PageBitmap } from "../../pages/index.ts";
import { RamSectionWriter, ramSectionBytes } from "../../stream/ram-section-writer.ts";
import type { BatchHandler, BulkTotals } from "../../wire/index.ts";
import { BATCH_PAGES } from "../scheduler.ts";
import type { HeadBlock } from "./source-protocol.ts";
import type { WriteLock } from "./write-lock.ts";

const PAGE_BYTES = 4096;

/** What the threads that place pages share; see `DialOrder`. */
export interface PlacerInput {
  readonly sectionId: number;
  readonly blocks: readonly HeadBlock[];
  readonly requested: readonly SharedArrayBuffer[];
  readonly placed: readonly SharedArrayBuffer[];
  readonly listening: SharedArrayBuffer;
}

/** A host page that has begun to come. */
interface HostPage {
  readonly block: number;
  readonly from: number;
  pages: number;
}

/**
 * Composes one RAM section per batch and writes it whole, under the lock that all threads share. Once QEMU listens for
 * pages in any order it takes a larger host page only whole and in one section: its batches, which follow each other
 * on a connection, are gathered until all of it is there.
 */
export class Placer implements BatchHandler {
  readonly #lock: WriteLock;
  readonly #file: number;
  readonly #section: RamSectionWriter;
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
    { sectionId, blocks, requested, placed, listening }: PlacerInput,
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
    this.#listening = new Int32Array(listening);
    this.#requested = requested.map((shared) => PageBitmap.fromShared(shared));
    this.#placed = placed.map((shared) => PageBitmap.fromShared(shared));
  }

  /** @throws GodwitError `GODWIT_BULK_FRAME` when a host page comes in any other way than one piece after the other */
  onBatch(block: number, runs: Uint32Array, runCount: number, zeroFlags: Uint8Array, contents: Buffer): void {
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
