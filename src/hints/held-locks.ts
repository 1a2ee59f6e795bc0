import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../base/errors.ts";
import { abortError, type WaitOptions } from "../base/waiting.ts";
import { checkRuns, type Runs } from "../pages/index.ts";
import type { FreePageLister } from "./free-page-lister.ts";
import { badAnswer, type FreePagesAnswer, type FreePagesRequest, refused } from "./protocol.ts";

/** Memory shared with a guest, and interrupts both ways; `qemu/doorbell.ts` has one. */
export interface SharedDoorbell extends Disposable {
  readonly bytes: number;
  readonly hostPeer: number;
  read(into: Uint8Array, at: number): void;
  /** A word of 32 bits. */
  write(word: number, at: number): void;
  ring(): void;
  rung(options: WaitOptions): Promise<boolean>;
}

/** `struct asked` and `struct told` in guest/driver/held-locks.c. */
const ASKED = {
  version: 4,
  request: 8,
  answer: 12,
  host: 16,
  minimumOrder: 20,
  maximum: 24,
  holdUs: 28,
} as const;
const TOLD_AT = 32;
const TOLD_BYTES = 56;
const LIST_AT = 4096;
const BLOCK_BYTES = 8;
const FORMAT_VERSION = 1;
const MOST_ORDER = 10;
const TRUNCATED = 4;

const states = { held: 1, answered: 2, timedOut: 3, refused: 4, malformed: 5 } as const;

/**
 * The guest's locks are held so long at most: reading takes 2 to 5 ms, and a guest that stands still for a tenth of a
 * second is noticed by its clients.
 */
export const HOLD_US = 100_000;

/** A host that is busy may come too late, but hardly so often. */
const MOST_TRIES = 8;

/** Between tries: the guest shall run at least as long as it stood still. */
const RETRY_PAUSE_MS = 100;

/** As long as the helper has: listing itself takes milliseconds. */
const ANSWER_TIMEOUT_MS = 5_000;

/** What the guest says of a request. */
interface Told {
  readonly driver: number;
  readonly request: number;
  readonly state: number;
  readonly flags: number;
  readonly minimumOrder: number;
  readonly zones: number;
  readonly blocks: number;
  readonly listMs: number;
  readonly lockMs: number;
}

/**
 * Free pages by the first paper's own protocol (Storniolo and others 2023): the guest is interrupted, takes the locks
 * of all zones, writes its list into shared memory, and holds the locks until the host has read it. A list that the
 * host read while the guest let go by itself is thrown away. Pages that processors keep at hand are not listed: their
 * locks come before those of zones.
 */
export class HeldLocks implements FreePageLister {
  readonly #doorbell: SharedDoorbell;
  readonly #pageCount: number;
  receivedBytes = 0;
  /** Lists that were thrown away since the guest let go of its locks first. */
  thrownAway = 0;

  /**
   * @param pageCount guest page numbers that it may speak of are below this
   * @throws GodwitError `GODWIT_HELPER_REFUSED` where the guest has no driver for it
   */
  constructor(doorbell: SharedDoorbell, pageCount: number) {
    this.#doorbell = doorbell;
    this.#pageCount = pageCount;
    if (this.#told().driver !== FORMAT_VERSION) throw refused(4, 0);
  }

  /** `perCpu` is passed over. @throws GodwitError `GODWIT_HELPER_…`, `GODWIT_LOCKS_RELEASED`, `GODWIT_ABORTED` */
  async freePages(request: FreePagesRequest, options: WaitOptions = {}): Promise<FreePagesAnswer> {
    const { signal, timeoutMs = ANSWER_TIMEOUT_MS } = options;
    const endMs = performance.now() + timeoutMs;
    let wastedMs = 0;
    let longestMs = 0;
    for (let tries = 1; tries <= MOST_TRIES; tries++) {
      if (tries > 1) await pause(signal);
      const { told, list } = await this.#ask(request, endMs, signal);
      longestMs = Math.max(longestMs, told.lockMs);
      if (list !== null && told.state === states.answered) {
        const answer = this.#answerOf(told, list);
        return { ...answer, lockMs: wastedMs + told.lockMs, longestLockMs: longestMs };
      }
      wastedMs += told.lockMs;
      this.thrownAway += 1;
    }
    throw new GodwitError(
      "GODWIT_LOCKS_RELEASED",
      `the guest let go of its locks ${MOST_TRIES} times before its list of free pages was read`,
      { advice: "the migration goes on without it; this host is too busy for --free-pages held-locks" },
    );
  }

  close(): void {
    this.#doorbell[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What the guest said at the end, and its list; no list where it had let go before that was read. */
  async #ask(
    request: FreePagesRequest,
    endMs: number,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly told: Told; readonly list: Buffer | null }> {
    // What lies in the memory from requests at other hosts must not look like an answer.
    const number = randomInt(1, 2 ** 32);
    const doorbell = this.#doorbell;
    doorbell.write(FORMAT_VERSION, ASKED.version);
    doorbell.write(doorbell.hostPeer, ASKED.host);
    doorbell.write(request.minimumOrder, ASKED.minimumOrder);
    doorbell.write(request.mostRuns, ASKED.maximum);
    doorbell.write(HOLD_US, ASKED.holdUs);
    doorbell.write(number, ASKED.request);
    doorbell.ring();
    const first = await this.#until(number, (state) => state !== 0, endMs, signal);
    if (first.state === states.refused) throw refused(5, 0);
    if (first.state === states.malformed) throw refused(3, 0);
    if (first.state !== states.held) return { told: first, list: null };
    const most = Math.min(request.mostRuns, Math.floor((doorbell.bytes - LIST_AT) / BLOCK_BYTES));
    if (first.blocks > most) throw badAnswer(`it lists ${first.blocks} blocks, ${most} were allowed`);
    const list = Buffer.allocUnsafe(first.blocks * BLOCK_BYTES);
    doorbell.read(list, LIST_AT);
    doorbell.write(number, ASKED.answer);
    this.receivedBytes += TOLD_BYTES + list.length;
    const last = await this.#until(number, (state) => state > states.held, endMs, signal);
    return { told: last, list };
  }

  async #until(
    number: number,
    isIt: (state: number) => boolean,
    endMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Told> {
    for (;;) {
      const told = this.#told();
      if (told.request === number && isIt(told.state)) return told;
      const timeoutMs = endMs - performance.now();
      if (timeoutMs <= 0 || !(await this.#doorbell.rung({ signal, timeoutMs }))) {
        throw new GodwitError(
          "GODWIT_HELPER_SILENT",
          "the guest's driver did not answer its doorbell in time",
          {
            advice: "the migration goes on without it",
          },
        );
      }
    }
  }

  #told(): Told {
    const bytes = Buffer.alloc(TOLD_BYTES);
    this.#doorbell.read(bytes, TOLD_AT);
    return {
      driver: bytes.readUInt32LE(0),
      request: bytes.readUInt32LE(4),
      state: bytes.readUInt32LE(8),
      flags: bytes.readUInt32LE(12),
      minimumOrder: bytes.readUInt32LE(16),
      zones: bytes.readUInt32LE(20),
      blocks: Number(bytes.readBigUInt64LE(24)),
      listMs: Number(bytes.readBigUInt64LE(32)) / 1e6,
      lockMs: Number(bytes.readBigUInt64LE(40)) / 1e6,
    };
  }

  #answerOf({ flags, minimumOrder, zones, listMs, lockMs }: Told, list: Buffer): FreePagesAnswer {
    return {
      source: "held-locks",
      runs: runsOfBlocks(list, this.#pageCount),
      truncated: (flags & TRUNCATED) !== 0,
      initOnAlloc: (flags & 1) !== 0,
      initOnFree: (flags & 2) !== 0,
      minimumOrder,
      zones,
      lockMs,
      longestLockMs: lockMs,
      scanMs: listMs,
    };
  }
}

async function pause(signal: AbortSignal | undefined): Promise<void> {
  await sleep(RETRY_PAUSE_MS, undefined, { signal }).catch(() => {
    throw abortError(signal);
  });
}

/** Blocks as the kernel has them, in any order, as ascending runs of pages. */
function runsOfBlocks(list: Buffer, pageCount: number): Runs {
  const blocks = new Float64Array(list.length / BLOCK_BYTES);
  for (let index = 0; index < blocks.length; index++) {
    const low = list.readUInt32LE(index * BLOCK_BYTES);
    const order = low & 0xfff;
    if (order > MOST_ORDER) throw badAnswer(`a block has order ${order}`);
    const page = list.readUInt32LE(index * BLOCK_BYTES + 4) * 2 ** 20 + (low >>> 12);
    blocks[index] = page * 16 + order;
  }
  blocks.sort();
  const runs: number[] = [];
  for (const block of blocks) {
    const page = Math.floor(block / 16);
    const pages = 2 ** (block % 16);
    const end = runs.length === 0 ? -1 : runs.at(-2)! + runs.at(-1)!;
    if (page > end) runs.push(page, pages);
    else runs[runs.length - 1] = Math.max(end, page + pages) - runs.at(-2)!;
  }
  if (runs.some((value) => value >= 2 ** 32)) throw badAnswer("a block lies beyond all memory");
  const checked = Uint32Array.from(runs);
  try {
    checkRuns(checked, { pageCount });
  } catch (error) {
    throw badAnswer((error as Error).message);
  }
  return checked;
}
