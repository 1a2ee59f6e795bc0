import type { Ledger } from "../ledger.ts";

const GATE_PAGES = 0;
const DRAINED = 1;
const PROGRESS = 2;
const HELD = 3;
const AWAKE = 4;
const CLOSE = 5;
const LOOKED_AGAIN = 6;
const WORDS = 7;

/** The gate stands open: the feed reads as fast as QEMU writes. */
export const GATE_OPEN = -1;

/** Bytes that the feed reads at once at most: one system call a megabyte costs next to nothing. */
export const READ_BYTES = 1 << 20;

/** Bytes of a page record with content at most: address, block name, content. */
const CONTENT_RECORD_BYTES = 4096 + 8;

/** Bytes of a record of a zero page at least: address and fill byte. */
const ZERO_RECORD_BYTES = 9;

/**
 * Room under the gate below which reading waits for more: each read wakes the scheduler, which looks through its
 * bitmaps, and page by page that costs more than all the rest.
 */
const LEAST_ROOM_PAGES = 128;

/**
 * What QEMU may have written ahead of our reading: its own buffer and the unix socket's (208 KiB by default),
 * rounded up. While more than this remains of its first pass, it can't have come to the end.
 */
const WRITTEN_AHEAD_BYTES = 320 * 1024;

/**
 * The same where an early end costs little. Some 5,000 pages are left then. QEMU can come to its end by itself where
 * fewer than 70 of them are not zero, and then there is little to leave out.
 */
const CLOSE_AHEAD_BYTES = 40 * 1024;

/**
 * The hold on QEMU: not reading its stream is the only one that works. The first pass lists every page once and
 * can't complete before its end, so it is read at full speed until just short of it; from there on the feed
 * reads only while the pages that wait lie under the gate; those under way are bounded by the send windows. QEMU then sees the rate at which pages really leave.
 *
 * The feed thread waits on it, the scheduler's thread moves the gate and tells when pages have left.
 */
export class FeedGate {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(shared?: SharedArrayBuffer) {
    this.buffer = shared ?? new SharedArrayBuffer(4 * WORDS);
    this.#words = new Int32Array(this.buffer);
  }

  /** Moves the gate: waiting pages above which the feed stops reading, or {@link GATE_OPEN}. */
  setGatePages(pages: number): void {
    Atomics.store(this.#words, GATE_PAGES, pages);
    this.drained();
  }

  get gatePages(): number {
    return Atomics.load(this.#words, GATE_PAGES);
  }

  /**
   * Has the feed read on nearer to the end of QEMU's first pass than is safe: for moves that gain by every page that is
   * listed, and lose little by an end that comes too early.
   */
  readCloser(): void {
    Atomics.store(this.#words, CLOSE, 1);
    Atomics.store(this.#words, HELD, 0);
    this.drained();
  }

  /** Whether the feed reads nothing until pages leave. */
  get isHeld(): boolean {
    return Atomics.load(this.#words, HELD) === 1;
  }

  /** Feed: QEMU has looked again at what is dirty, and is read as far as pages leave from now on. */
  setLookedAgain(): void {
    Atomics.store(this.#words, LOOKED_AGAIN, 1);
  }

  /** Whether what QEMU says to be dirty is what the guest wrote to lately, and not what it was long ago. */
  get hasLookedAgain(): boolean {
    return Atomics.load(this.#words, LOOKED_AGAIN) === 1;
  }

  /** Tells the feed that pages have left. */
  drained(): void {
    Atomics.add(this.#words, DRAINED, 1);
    Atomics.notify(this.#words, DRAINED);
  }

  /** Feed: bytes that may be read now by the rule `allowed`; waits while that is none. */
  waitForAllowance(ledger: Ledger | null, allowed: AllowanceRule = allowedBytes): number {
    for (;;) {
      const seen = Atomics.load(this.#words, DRAINED);
      const ahead = Atomics.load(this.#words, CLOSE) === 1 ? CLOSE_AHEAD_BYTES : WRITTEN_AHEAD_BYTES;
      const bytes = allowed(ledger, this.gatePages, ahead);
      Atomics.store(this.#words, HELD, bytes > 0 ? 0 : 1);
      if (bytes > 0) return bytes;
      Atomics.wait(this.#words, DRAINED, seen);
    }
  }

  /** Ends {@link rest}, now and for good: QEMU is coming to its end and must not wait in a write. */
  wake(): void {
    Atomics.store(this.#words, AWAKE, 1);
    Atomics.notify(this.#words, AWAKE);
  }

  /** Feed: leaves the stream alone for so long, or until {@link wake}. @returns whether it was for so long */
  rest(milliseconds: number): boolean {
    return Atomics.wait(this.#words, AWAKE, 0, milliseconds) === "timed-out";
  }

  /** Feed: tells the scheduler that something was listed. */
  listed(): void {
    Atomics.add(this.#words, PROGRESS, 1);
    Atomics.notify(this.#words, PROGRESS);
  }

  /** Scheduler: resolves when the feed has listed something since `seen`; gives the value for the next call. */
  async nextListing(seen: number): Promise<number> {
    const wait = Atomics.waitAsync(this.#words, PROGRESS, seen);
    if (wait.async) await wait.value;
    return Atomics.load(this.#words, PROGRESS);
  }
}

/**
 * How much of QEMU's stream may be read, given what it has listed and what is owed, the gate in pages, and what QEMU
 * may have written ahead.
 */
export type AllowanceRule = (ledger: Ledger | null, gatePages: number, aheadBytes: number) => number;

/** The rule for a QEMU that may come to its end by itself: its first pass is held just short of its end. */
export function allowedBytes(
  ledger: Ledger | null,
  gatePages: number,
  aheadBytes: number = WRITTEN_AHEAD_BYTES,
): number {
  if (gatePages === GATE_OPEN || ledger === null) return READ_BYTES;
  const unlisted = ledger.totalPages - ledger.listedPages();
  const safe = unlisted * ZERO_RECORD_BYTES - aheadBytes;
  if (safe > CONTENT_RECORD_BYTES) return Math.min(READ_BYTES, safe);
  return roomBytes(ledger, gatePages);
}

/** What may be read so that the pages that wait stay under the gate; 0 until there is room for a good piece. */
export function roomBytes(ledger: Ledger, gatePages: number): number {
  const room = gatePages - ledger.owedPages();
  return room < LEAST_ROOM_PAGES ? 0 : Math.min(READ_BYTES, room * CONTENT_RECORD_BYTES);
}
