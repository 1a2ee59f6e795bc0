import {
  blockRunsOf,
  type GuestHelper,
  type GuestMemoryPiece,
  type KernelPagesAnswer,
} from "../../hints/index.ts";
import { PageBitmap } from "../../pages/index.ts";
import type { Ledger } from "../ledger.ts";

/** Ranges that are listed at most, 1 MiB: a kernel's pages are scattered between those of programs. */
const MOST_RUNS = 131_072;

/** Runs that are looked for at once. */
const RUNS_AT_ONCE = 4096;

/** The pages of one RAM block that are the guest's kernel's own. */
export interface KernelPagesBlock {
  readonly name: string;
  /** Page tables: few, and read at every step of the guest whose translation is not at hand. */
  readonly tables: PageBitmap;
  /** These and all others: text, data, stacks, slabs. */
  readonly all: PageBitmap;
}

/**
 * Has the zero pages of a kernel sent like others, at a bit each: the destination has nothing in their place until they
 * come, and a kernel that resumes wants some of them at once. Only once QEMU has named every page, and only by the
 * thread that takes pages out of `owed`.
 * @returns how many
 */
export function oweZeroPages(
  ledger: Ledger,
  kernel: readonly KernelPagesBlock[],
  readable: (block: number) => boolean,
): number {
  const scratch = new Uint32Array(2 * RUNS_AT_ONCE);
  let pages = 0;
  for (const [index, { name, zero, free, owed, pages: end }] of ledger.blocks.entries()) {
    const all = kernel.find((block) => block.name === name)?.all;
    if (all === undefined || !readable(index)) continue;
    for (let from = 0; from < Math.min(end, all.pageCount); ) {
      const filter = { only: zero, except: free };
      const runCount = all.readRuns(from, Math.min(end, all.pageCount), end, scratch, filter);
      for (let run = 0; run < runCount; run++) {
        const first = scratch[2 * run]!;
        for (let page = first; page < first + scratch[2 * run + 1]!; page++) {
          // The feed may name it at this moment: then it knows better.
          if (!zero.clear(page)) continue;
          owed.set(page);
          pages += 1;
        }
      }
      if (runCount < RUNS_AT_ONCE) break;
      from = scratch[2 * runCount - 2]! + scratch[2 * runCount - 1]!;
    }
  }
  return pages;
}

/**
 * Asks a guest once which pages are its kernel's own: accessed bits don't tell, since a kernel maps itself by huge
 * pages. They change slowly, and a list takes the guest as long as many looks at its working set. Whatever goes wrong
 * leaves what was said until then.
 */
export class KernelPagesLook {
  readonly #pieces: readonly GuestMemoryPiece[];
  readonly #blocks: readonly KernelPagesBlock[];
  readonly #stop = new AbortController();
  /** Resolves when no more will be said. */
  readonly done: Promise<void>;
  #said = false;
  #isComplete = false;

  constructor(helper: Promise<GuestHelper>, pieces: readonly GuestMemoryPiece[]) {
    this.#pieces = pieces;
    const ends = new Map<string, number>();
    for (const { block, firstBlockPage, pages } of pieces) {
      ends.set(block, Math.max(ends.get(block) ?? 0, firstBlockPage + pages));
    }
    this.#blocks = [...ends].map(([name, pages]) => {
      return { name, tables: new PageBitmap(pages), all: new PageBitmap(pages) };
    });
    this.done = helper
      .then((connected) => this.#ask(connected))
      .catch(() => {})
      .then(() => {
        this.#isComplete = true;
      });
  }

  /** What was said so far, page tables first; null when nothing was. */
  get pages(): readonly KernelPagesBlock[] | null {
    return this.#said ? this.#blocks : null;
  }

  /** Whether all was said that will be. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The guest has stopped, or will: an answer that has not come is of no use. */
  end(): void {
    this.#stop.abort();
  }

  async #ask(helper: GuestHelper): Promise<void> {
    if (!helper.hello.canListKernelPages) return;
    const { signal } = this.#stop;
    for (const tablesOnly of [true, false]) {
      const answer = await helper.kernelPages({ tablesOnly, mostRuns: MOST_RUNS }, { signal });
      this.take(answer, tablesOnly ? "tables" : "all");
    }
  }

  /** Adds an answer. */
  take({ runs }: KernelPagesAnswer, kind: "tables" | "all"): void {
    for (const { block, runs: own } of blockRunsOf(runs, this.#pieces, "pass over")) {
      const pages = this.#blocks.find(({ name }) => name === block)![kind];
      for (let run = 0; run < own.length; run += 2) pages.setRange(own[run]!, own[run]! + own[run + 1]!);
    }
    this.#said = true;
  }
}
