import { setTimeout as delay } from "node:timers/promises";
import {
  blockRunsOf,
  type GuestHelper,
  type GuestMemoryPiece,
  type WorkingSetAnswer,
} from "../../hints/index.ts";
import { PageBitmap } from "../../pages/index.ts";

/** Ranges that a look lists at most, 1 MiB. */
const MOST_RUNS = 131_072;

/** Between looks at first: a guest's daily round of timers, daemons and interrupts is over in it. */
const INTERVAL_MS = 200;

/** The set is known when so many looks in a row each added less than this share of it. */
const SETTLED_LOOKS = 2;
const SETTLED_SHARE = 0.05;

/** A guest whose set never stops growing works with all that it has. */
const MOST_LOOKS = 20;

/** Between looks from then on: each clears accessed bits and costs the guest a few milliseconds a GiB. */
const LATER_INTERVAL_MS = 2_000;

/** The pages of one RAM block that a guest works with. */
export interface WorkingSetBlock {
  readonly name: string;
  /** Touched in any of the looks. */
  readonly touched: PageBitmap;
  /** Touched in each of the last two. */
  readonly steady: PageBitmap;
}

/** How the looks went, for the report. */
export interface WorkingSetFigures {
  readonly pages: number;
  readonly steadyPages: number;
  readonly looks: number;
  /** Looks until the set no longer changed; null while it did. */
  readonly settledAfterLooks: number | null;
  /** In the guest, all looks together. */
  readonly scanMs: number;
}

interface Block extends WorkingSetBlock {
  readonly last: PageBitmap;
}

/**
 * Follows which pages a guest works with, by its accessed bits: at short intervals until the set no longer changes, at
 * long ones from then on. Whatever goes wrong ends it with what was seen until then.
 */
export class WorkingSetLooks {
  readonly #pieces: readonly GuestMemoryPiece[];
  readonly #blocks = new Map<string, Block>();
  readonly #stop = new AbortController();
  #looks = 0;
  #quietLooks = 0;
  #settledAfterLooks: number | null = null;
  #scanMs = 0;

  constructor(helper: Promise<GuestHelper>, pieces: readonly GuestMemoryPiece[]) {
    this.#pieces = pieces;
    for (const { block } of pieces) {
      if (this.#blocks.has(block)) continue;
      const own = pieces.filter((piece) => piece.block === block);
      const pages = own.reduce((end, piece) => Math.max(end, piece.firstBlockPage + piece.pages), 0);
      const set = () => new PageBitmap(pages);
      this.#blocks.set(block, { name: block, touched: set(), steady: set(), last: set() });
    }
    helper.then((connected) => this.#follow(connected)).catch(() => {});
  }

  /** What was seen; null when nothing was. */
  get set(): readonly WorkingSetBlock[] | null {
    return this.#looks === 0 ? null : [...this.#blocks.values()];
  }

  get figures(): WorkingSetFigures | null {
    if (this.#looks === 0) return null;
    const count = (which: "touched" | "steady") =>
      [...this.#blocks.values()].reduce((sum, block) => sum + block[which].count(), 0);
    return {
      pages: count("touched"),
      steadyPages: count("steady"),
      looks: this.#looks,
      settledAfterLooks: this.#settledAfterLooks,
      scanMs: this.#scanMs,
    };
  }

  /** The guest has stopped, or will: no more looks. */
  end(): void {
    this.#stop.abort();
  }

  async #follow(helper: GuestHelper): Promise<void> {
    if (!helper.hello.canScanWorkingSet) return;
    const { signal } = this.#stop;
    const request = { intervalMs: 0, mostRuns: MOST_RUNS };
    await helper.workingSet({ ...request, scans: 0, fresh: true }, { signal });
    while (!signal.aborted) {
      const known = this.#settledAfterLooks !== null || this.#looks >= MOST_LOOKS;
      await delay(known ? LATER_INTERVAL_MS : INTERVAL_MS, undefined, { signal });
      this.take(await helper.workingSet({ ...request, scans: 1, fresh: false }, { signal }));
    }
  }

  /** Adds a look. */
  take(answer: WorkingSetAnswer): void {
    const lists = blockRunsOf(answer.runs, this.#pieces);
    const before = this.figures?.pages ?? 0;
    for (const { touched, steady, last, name } of this.#blocks.values()) {
      const runs = lists.find(({ block }) => block === name)?.runs ?? new Uint32Array();
      steady.clearRange(0, steady.pageCount);
      for (let run = 0; run < runs.length; run += 2) {
        const first = runs[run]!;
        const end = first + runs[run + 1]!;
        touched.setRange(first, end);
        for (
          let page = last.next(first, end);
          page >= 0;
          page = page + 1 < end ? last.next(page + 1, end) : -1
        ) {
          steady.set(page);
        }
      }
      last.clearRange(0, last.pageCount);
      for (let run = 0; run < runs.length; run += 2) last.setRange(runs[run]!, runs[run]! + runs[run + 1]!);
    }
    this.#looks += 1;
    this.#scanMs += answer.scanMs;
    const after = this.figures!.pages;
    this.#quietLooks = after - before <= SETTLED_SHARE * after ? this.#quietLooks + 1 : 0;
    if (this.#quietLooks >= SETTLED_LOOKS) this.#settledAfterLooks ??= this.#looks;
  }
}
