import { asGodwitError, GodwitError } from "../../base/errors.ts";
import {
  type BlockRuns,
  blockRunsOf,
  type FreePageLister,
  type FreePagesAnswer,
  type FreePagesRequest,
  type GuestMemoryPiece,
} from "../../hints/index.ts";
import { PageBitmap } from "../../pages/index.ts";
import type { Ledger } from "../ledger.ts";
import { LookPatience } from "./look-patience.ts";

/** Blocks of the guest that are listed at most, 1 MiB: 2,000 are usual with 8 GiB. */
export const MOST_RUNS = 131_072;

/** Presumably free pages that are worth a look when nothing else can leave: 4 MiB. */
const WORTH_PAGES = 1024;

/**
 * Between looks while QEMU still lists its memory, doubled for each, and at least what the last one took: they only let
 * go what is no longer free, and each costs the guest two milliseconds under its locks where it has 8 GiB. A QEMU that
 * is held for one waits no longer.
 */
const LISTING_PAUSE_MS = 200;

/** Pages that were never sent and make a further look pay, 64 MiB: half a second at 1 Gbit/s. */
const AGAIN_PAGES = 16_384;

/** Runs that are looked for together. */
const RUNS_AT_ONCE = 4096;

/** Before the first further look; doubled for each. */
const AGAIN_PAUSE_MS = 2_000;

/** What the guest said was free before the migration began. */
export interface FirstLook {
  readonly source: FreePagesRequest["source"];
  readonly lists: readonly BlockRuns[];
  readonly tookMs: number;
}

/** Where to ask, and what for. Plain data: it crosses to the data process. */
export interface HintsInput {
  /** The unix socket of the helper's channel; null where the guest has none, and only its doorbell answers. */
  readonly path: string | null;
  /** The QEMU whose doorbell is rung for free pages (`held-locks`); null: the helper is asked. */
  readonly doorbellPid: number | null;
  readonly pieces: readonly GuestMemoryPiece[];
  /** Who lists free pages, and what was said before the migration began; null: nobody. */
  readonly freePages: FirstLook | null;
  /** Whether to look which pages the guest works with. */
  readonly workingSet: boolean;
  /** Whether to ask which pages are its kernel's. */
  readonly kernelPages: boolean;
}

/** One look, for the report. Times in milliseconds. */
export interface FreePageLook {
  readonly source: FreePagesAnswer["source"];
  /** From asking to the answer. */
  readonly tookMs: number;
  /** Of that, in the guest. */
  readonly scanMs: number;
  readonly lockMs: number;
  readonly longestLockMs: number;
  /** Pages that the guest said are free. */
  readonly listedPages: number;
  /** Of these, pages that left the backlog without being sent. */
  readonly droppedPages: number;
  readonly listBytes: number;
}

/** How far the migration is, seen every 50 ms. */
export interface LookMoment {
  readonly nowMs: number;
  readonly firstPassDone: boolean;
  /** QEMU's stream is not read until pages leave. */
  readonly held: boolean;
  /** Nothing leaves now but what waits for a look. */
  readonly starving: boolean;
  /** No page is dealt: the guest is about to stop for post-copy. */
  readonly holding: boolean;
}

/** What the guest dropped of its page cache before the first look. */
export interface DroppedCache {
  readonly bytes: number;
  readonly tookMs: number;
  /** False: the time was over before the guest was done. */
  readonly finished: boolean;
}

/** What the looks do to the rest. */
export interface LookEffects {
  /** These pages, one set a RAM block, are presumably free and wait; null: no longer. */
  readonly defer: (sets: readonly PageBitmap[] | null) => void;
  readonly looked: (look: FreePageLook) => void;
  /** QEMU's first pass shall be read on, nearer to its end: there will be a look at what it names. */
  readonly readCloser: () => void;
  /** Nothing waits for a look any more: the one that matters is over, or there will be none. */
  readonly settled: () => void;
  /** Why no free page is left out from now on. */
  readonly gaveUp: (error: GodwitError) => void;
}

/**
 * When to ask a guest for its free pages, and what to do with the answer. An answer counts for pages that QEMU had
 * named before the question (FACTS: the scan comes after the record), so the look that matters comes when the first
 * pass is over. What the guest said before the migration drops nothing, but tells which pages are likely to be dropped
 * by the one that matters: those wait, all others leave meanwhile. A guest that said nothing then is asked again at once.
 *
 * A guest that is silent or says nonsense ends the looks and nothing else.
 */
export class FreePageLooks {
  readonly #first: FirstLook;
  readonly #pieces: readonly GuestMemoryPiece[];
  readonly #effects: LookEffects;
  readonly #patience: LookPatience;
  readonly #stop = new AbortController();
  #lister: FreePageLister | null = null;
  #ledger: Ledger | null = null;
  #asking = false;
  #askedAtMs = 0;
  #beganAtMs: number | null = null;
  #over = false;
  #isSettled = false;
  #isClose = false;
  /** Nothing is known of which pages may be free, so that none waits for a look. */
  #isBlind: boolean;
  #nextMs = 0;
  #nextUnheldMs = 0;
  #unheldPauseMs = LISTING_PAUSE_MS;
  #againPauseMs = AGAIN_PAUSE_MS;
  #presumed: readonly PageBitmap[] | null = null;

  constructor(
    lister: Promise<FreePageLister>,
    asked: { readonly first: FirstLook; readonly pieces: readonly GuestMemoryPiece[] },
    effects: LookEffects,
  ) {
    this.#first = asked.first;
    this.#isBlind = asked.first.lists.length === 0;
    this.#pieces = asked.pieces;
    this.#effects = effects;
    this.#patience = new LookPatience(asked.first.tookMs);
    lister.then(
      (connected) => {
        this.#lister = connected;
      },
      (error: unknown) => this.#giveUp(error),
    );
  }

  /** Whether there may be another look. */
  get isOver(): boolean {
    return this.#over;
  }

  /** The pages that looks are about; nothing of them has left yet. */
  attach(ledger: Ledger): void {
    this.#ledger = ledger;
    if (!this.#over) this.#keepBack(presumable(ledger, this.#first.lists));
  }

  /** Looks if it is time to. */
  tick(moment: LookMoment): void {
    const ledger = this.#ledger;
    if (this.#over || ledger === null) return;
    this.#beganAtMs ??= moment.nowMs;
    if (this.#lister === null) return;
    if (this.#asking) {
      // What nothing waited for the stop waits for now.
      if (moment.holding && moment.nowMs - this.#askedAtMs > this.#patience.leastMs) this.#giveUp(tooLate());
      return;
    }
    if (!this.#isDue(ledger, moment)) return;
    this.#asking = true;
    this.#askedAtMs = moment.nowMs;
    this.#look(this.#lister, ledger, moment).catch((error: unknown) => this.#giveUp(error));
  }

  /** No look counts from now on: the guest has stopped, or pages go in another order. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stop.abort();
    this.#letGo();
  }

  #isDue(ledger: Ledger, moment: LookMoment): boolean {
    if (!this.#isSettled && (moment.firstPassDone || (moment.holding && moment.held))) return true;
    if (moment.nowMs < this.#nextMs) return false;
    if (!this.#isSettled) {
      if (this.#isBlind) return true;
      if (!moment.starving) return false;
      if (!moment.held && moment.nowMs < this.#nextUnheldMs) return false;
      return this.#waitingPages(ledger, this.#presumed) >= (moment.held ? 1 : WORTH_PAGES);
    }
    // Counting goes through a bitmap of the whole guest.
    this.#nextMs = moment.nowMs + AGAIN_PAUSE_MS;
    return neverSentPages(ledger) >= AGAIN_PAGES;
  }

  /** Of the pages that QEMU has named, those that these sets keep back. */
  #waitingPages(ledger: Ledger, sets: readonly PageBitmap[] | null): number {
    let pages = 0;
    for (const [index, { owed, pages: end }] of ledger.blocks.entries()) {
      pages += owed.countRange(0, end, { only: sets?.[index] });
    }
    return pages;
  }

  async #look(lister: FreePageLister, ledger: Ledger, moment: LookMoment): Promise<void> {
    const isHeldEarly = moment.holding && moment.held && !moment.firstPassDone;
    const matters = moment.firstPassDone || (isHeldEarly && this.#isClose);
    const waitingPages = this.#waitingPages(ledger, this.#presumed);
    const beginMs = performance.now();
    const bytesBefore = lister.receivedBytes;
    ledger.beginScan();
    const answer = await lister.freePages(
      { source: this.#first.source, minimumOrder: 0, perCpu: true, mostRuns: MOST_RUNS },
      { timeoutMs: this.#patienceMs(moment), signal: this.#stop.signal },
    );
    if (this.#over) return;
    const tookMs = performance.now() - beginMs;
    const lists = blockRunsOf(answer.runs, this.#pieces);
    const droppedPages = this.#drop(ledger, lists);
    this.#asking = false;
    this.#isBlind = false;
    this.#nextMs = moment.nowMs + tookMs + LISTING_PAUSE_MS;
    this.#nextUnheldMs = moment.nowMs + tookMs + Math.max(this.#unheldPauseMs, tookMs);
    this.#unheldPauseMs *= 2;
    this.#effects.looked(
      figuresOf(answer, { tookMs, droppedPages, listBytes: lister.receivedBytes - bytesBefore }),
    );
    if (isHeldEarly && !this.#isClose && !this.#isSettled) {
      this.#isClose = true;
      this.#effects.readCloser();
      return;
    }
    const sets = matters || this.#isSettled ? null : presumable(ledger, lists);
    // Where QEMU waits for pages that wait for a look that lets none of them go, nothing would ever leave again.
    const isInVain =
      moment.starving &&
      moment.held &&
      droppedPages === 0 &&
      this.#waitingPages(ledger, sets) >= waitingPages;
    if (sets === null || isInVain) {
      this.#nextMs = moment.nowMs + tookMs + this.#againPauseMs;
      this.#againPauseMs *= 2;
      this.#letGo();
    } else {
      this.#keepBack(sets);
      const keptPages = sets.reduce((pages, set) => pages + set.count(), 0);
      const ms = moment.nowMs + tookMs - this.#beganAtMs!;
      this.#patience.answered(tookMs, keptPages, { pages: sentPages(ledger), ms });
    }
  }

  /** Pages wait for a look before the one that counts is over, if they are known from before the migration. */
  #patienceMs(moment: LookMoment): number {
    if (moment.holding) return this.#patience.leastMs;
    return this.#isSettled || this.#isBlind ? this.#patience.unhurriedMs : this.#patience.waitedForMs;
  }

  #drop(ledger: Ledger, lists: readonly BlockRuns[]): number {
    let pages = 0;
    for (const { block, runs } of lists) {
      const index = ledger.blocks.findIndex(({ name }) => name === block);
      if (index >= 0) pages += ledger.dropFree(index, runsWithin(runs, ledger.blocks[index]!.pages));
    }
    return pages;
  }

  #keepBack(sets: readonly PageBitmap[]): void {
    this.#presumed = sets;
    this.#effects.defer(sets);
  }

  #letGo(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#presumed = null;
    this.#effects.defer(null);
    this.#effects.settled();
  }

  #giveUp(thrown: unknown): void {
    if (this.#over) return;
    this.end();
    this.#effects.gaveUp(asGodwitError(thrown, "GODWIT_HELPER_ANSWER", { side: "source" }));
  }
}

function tooLate(): GodwitError {
  return new GodwitError(
    "GODWIT_HELPER_SILENT",
    "the guest did not list its free pages before it was to stop",
  );
}

/** Which pages of each RAM block may be left out if the guest says once more that they are free. */
function presumable(ledger: Ledger, lists: readonly BlockRuns[]): PageBitmap[] {
  const sets = ledger.blocks.map(({ pages }) => new PageBitmap(pages));
  for (const { block, runs } of lists) {
    const index = ledger.blocks.findIndex(({ name }) => name === block);
    if (index < 0) continue;
    const within = runsWithin(runs, ledger.blocks[index]!.pages);
    for (let run = 0; run < within.length; run += 2) {
      sets[index]!.setRange(within[run]!, within[run]! + within[run + 1]!);
    }
    takeOut(sets[index]!, ledger.blocks[index]!.sent);
  }
  return sets;
}

/** What was sent once can't be left out any more, and has nothing to wait for. */
function takeOut(set: PageBitmap, sent: PageBitmap): void {
  const scratch = new Uint32Array(2 * RUNS_AT_ONCE);
  const pages = set.pageCount;
  for (let from = 0; from < pages; ) {
    const runCount = set.readRuns(from, pages, pages, scratch, { only: sent });
    for (let run = 0; run < runCount; run++) {
      set.clearRange(scratch[2 * run]!, scratch[2 * run]! + scratch[2 * run + 1]!);
    }
    if (runCount < RUNS_AT_ONCE) return;
    from = scratch[2 * runCount - 2]! + scratch[2 * runCount - 1]!;
  }
}

function sentPages(ledger: Ledger): number {
  return ledger.blocks.reduce((pages, { sent }) => pages + sent.count(), 0);
}

function neverSentPages(ledger: Ledger): number {
  let pages = 0;
  for (const { owed, sent, pages: end } of ledger.blocks) pages += owed.countRange(0, end, { except: sent });
  return pages;
}

/** QEMU's view of a RAM block may be larger than what of it is used. */
function runsWithin(runs: Uint32Array, pages: number): Uint32Array {
  const last = runs.length - 2;
  if (last < 0 || runs[last]! + runs[last + 1]! <= pages) return runs;
  const kept: number[] = [];
  for (let index = 0; index < runs.length; index += 2) {
    const end = Math.min(pages, runs[index]! + runs[index + 1]!);
    if (end > runs[index]!) kept.push(runs[index]!, end - runs[index]!);
  }
  return Uint32Array.from(kept);
}

/** A look in figures. */
export function figuresOf(
  answer: FreePagesAnswer,
  more: Pick<FreePageLook, "tookMs" | "droppedPages" | "listBytes">,
): FreePageLook {
  const { source, scanMs, lockMs, longestLockMs, runs } = answer;
  let listedPages = 0;
  for (let index = 1; index < runs.length; index += 2) listedPages += runs[index]!;
  return { source, scanMs, lockMs, longestLockMs, listedPages, ...more };
}
