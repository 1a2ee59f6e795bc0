import { GodwitError } from "../../base/errors.ts";
import { MAXIMUM_BATCH_PAGES, pageArea } from "../../wire/bulk/format.ts";
import { hostPageOf, isZeroHostPage, takeHostPage } from "../host-pages.ts";
import type { Ledger, LedgerBlock } from "../ledger.ts";
import type { Bubble } from "./bubble.ts";

/**
 * Requests that may wait for an answer. A guest asks for a page per processor and some for QEMU's own threads; a
 * destination that asks for this many at once is none.
 */
const MOST_WAITING = 4096;

/** The learned set takes the first so many requests of a migration (4 bytes each; FACTS: more add nothing). */
const REMEMBERED_REQUESTS = 1000;

/** Zero pages that go with one that is asked for; clearing and looking at them takes 20 µs on either side. */
const ZEROS_BEFORE = 32;
const ZEROS_BEHIND = 96;

const PAGE_BYTES = 4096;

/** What a fault server needs of its connection: a frame buffer, and a way to send a batch built in it. */
export interface FaultConnection {
  /** Resolves when there is a frame buffer. */
  ready(): Promise<Buffer>;
  /** Sends pages of one RAM block whose contents lie in the frame buffer's page area; `alone`: the one asked for. */
  send(block: number, runs: Uint32Array, pages: number, frame: Buffer, alone: boolean): void;
}

/** Reads pages of a RAM block, by its index in the ledger, into a buffer; returns bytes read. */
export type PageReader = (
  block: number,
  first: number,
  count: number,
  into: Buffer,
  offset: number,
) => number;

interface Request {
  readonly block: number;
  readonly page: number;
}

/**
 * Answers what the running destination asks for: the page alone and at once, then its neighbourhood. A page leaves
 * `owed` by being taken here or by push, never by both, so that none is placed twice. What isn't owed is on its way,
 * or zero: that is answered, too, since the destination has nothing at all in its place.
 */
export class FaultServer {
  readonly #ledger: Ledger;
  readonly #bubble: Bubble;
  readonly #connection: FaultConnection;
  readonly #read: PageReader;
  readonly #waiting: Request[] = [];
  readonly #learned: number[] = [];
  readonly #runs = new Uint32Array(2 * MAXIMUM_BATCH_PAGES);
  #answered: Promise<void> = Promise.resolve();
  #bubblePages = 0;
  /** Told of each request for a page that is on its way. */
  onUnderWay: () => void = () => {};

  constructor(ledger: Ledger, bubble: Bubble, connection: FaultConnection, read: PageReader) {
    this.#ledger = ledger;
    this.#bubble = bubble;
    this.#connection = connection;
    this.#read = read;
  }

  /** Pages that went along with others. */
  get bubblePages(): number {
    return this.#bubblePages;
  }

  /** The first requests in order, as pairs of RAM block and page. */
  get learned(): readonly number[] {
    return this.#learned;
  }

  /**
   * The destination wants pages.
   * @throws GodwitError `GODWIT_PAGE_REQUEST` for pages that aren't there, and for a flood
   */
  request(block: number, first: number, count: number): void {
    const entry = this.#ledger.blocks[block];
    if (entry === undefined || count === 0 || first + count > entry.pages) {
      throw new GodwitError(
        "GODWIT_PAGE_REQUEST",
        `the destination asked for ${count} pages from ${first} of RAM block ${block}, which has not so many`,
        { advice: "this is a defect of the destination, or an attack" },
      );
    }
    // A host page is asked for whole, and is known by its first page.
    for (let page = first - (first % entry.hostPages); page < first + count; page += entry.hostPages) {
      if (this.#learned.length < 2 * REMEMBERED_REQUESTS) this.#learned.push(block, page);
      entry.requested.set(page);
      if (!entry.owed.has(page) && !entry.zero.has(page)) {
        this.onUnderWay();
        continue;
      }
      if (this.#waiting.length >= MOST_WAITING) {
        throw new GodwitError("GODWIT_PAGE_REQUEST", `more than ${MOST_WAITING} page requests wait`, {
          advice: "this is a defect of the destination, or an attack",
        });
      }
      this.#waiting.push({ block, page });
    }
  }

  /** Answers all that waits; resolves when nothing does. @throws GodwitError why the connection broke */
  work(): Promise<void> {
    // Behind what runs, and never instead of it: a request may come in the very turn in which that found no more.
    const work = this.#answered.then(() => this.#answerAll());
    this.#answered = work.catch(() => {});
    return work;
  }

  async #answerAll(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      await this.#answer(next);
    }
  }

  async #answer({ block, page }: Request): Promise<void> {
    const entry = this.#ledger.blocks[block]!;
    if (entry.hostPages > 1) {
      await this.#answerHostPage(entry, block, page);
      return;
    }
    const frame = await this.#connection.ready();
    if (entry.zero.has(page)) {
      this.#answerZeros(block, page, frame);
      return;
    }
    if (!entry.owed.clear(page)) return;
    this.#read(block, page, 1, pageArea(frame), 0);
    this.#ledger.faulted(block, page);
    const single = Uint32Array.of(page, 1);
    this.#ledger.takeInHand(block, single, 1);
    this.#connection.send(block, single, 1, frame, true);

    const { from, to } = this.#bubble.around(block, page, entry.pages);
    const around = await this.#connection.ready();
    const runCount = entry.owed.takeRuns(from, to, MAXIMUM_BATCH_PAGES, this.#runs);
    if (runCount === 0) return;
    this.#ledger.takeInHand(block, this.#runs, runCount);
    const pages = this.#countRuns(runCount);
    let offset = 0;
    for (let run = 0; run < runCount; run++) {
      offset += this.#read(block, this.#runs[2 * run]!, this.#runs[2 * run + 1]!, pageArea(around), offset);
    }
    this.#bubblePages += pages;
    this.#connection.send(block, this.#runs.slice(0, 2 * runCount), pages, around, false);
  }

  /** A host page, which is a neighbourhood by itself: in frames that follow each other, so that it is placed whole. */
  async #answerHostPage(entry: LedgerBlock, block: number, page: number): Promise<void> {
    const { from, to } = hostPageOf(entry, page);
    const isZero = isZeroHostPage(entry, from, to);
    if (!isZero && !takeHostPage(entry.owed, from, to)) return;
    if (isZero) entry.zero.clearRange(from, to);
    this.#ledger.faulted(block, page);
    this.#ledger.takeInHand(block, Uint32Array.of(from, to - from), 1);
    for (let first = from; first < to; first += MAXIMUM_BATCH_PAGES) {
      const pages = Math.min(MAXIMUM_BATCH_PAGES, to - first);
      const frame = await this.#connection.ready();
      if (isZero) pageArea(frame).fill(0, 0, pages * PAGE_BYTES);
      else this.#read(block, first, pages, pageArea(frame), 0);
      this.#connection.send(block, Uint32Array.of(first, pages), pages, frame, false);
    }
  }

  /** A page that is zero, and others around it, which cost a bit each: devices look at many when they are loaded. */
  #answerZeros(block: number, page: number, frame: Buffer): void {
    const entry = this.#ledger.blocks[block]!;
    const from = Math.max(0, page - ZEROS_BEFORE);
    const to = Math.min(entry.pages, page + ZEROS_BEHIND);
    // A page can have been sent just as QEMU found it zero; it is in place, and must not be placed again.
    const runCount = entry.zero.takeRuns(from, to, MAXIMUM_BATCH_PAGES, this.#runs, { except: entry.sent });
    if (runCount === 0) return;
    this.#ledger.faulted(block, page);
    this.#ledger.takeInHand(block, this.#runs, runCount);
    const pages = this.#countRuns(runCount);
    pageArea(frame).fill(0, 0, pages * PAGE_BYTES);
    this.#connection.send(block, this.#runs.slice(0, 2 * runCount), pages, frame, true);
  }

  #countRuns(runCount: number): number {
    let pages = 0;
    for (let run = 0; run < runCount; run++) pages += this.#runs[2 * run + 1]!;
    return pages;
  }
}
