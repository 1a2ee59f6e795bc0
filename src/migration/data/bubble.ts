/** Faults whose neighbourhoods are remembered. */
const REMEMBERED = 16;

/** Least and most pages around a fault: 32 KiB still cost less than a round trip, 1 MiB is one batch. */
const LEAST_PAGES = 8;
const MOST_PAGES = 256;

/** What a neighbourhood begins with: Sahni and Varma's pivot of some tens of pages. */
const FIRST_PAGES = 32;

/**
 * How many pages around a fault go with it (Sahni and Varma 2012: "bubble"). It grows while faults come close to
 * earlier ones, since then the guest walks through memory and a larger one would have spared the fault, and shrinks
 * while they don't, since then what comes along only delays the next answer.
 */
export class Bubble {
  readonly #fixed: number | null;
  readonly #faults: { block: number; page: number }[] = [];
  #pages = FIRST_PAGES;

  /** @param fixedPages the size that a user wants; null to adapt */
  constructor(fixedPages: number | null = null) {
    this.#fixed = fixedPages;
    if (fixedPages !== null) this.#pages = fixedPages;
  }

  /** The neighbourhood of a fault, the page in its middle, within a RAM block of `blockPages`. */
  around(block: number, page: number, blockPages: number): { readonly from: number; readonly to: number } {
    if (this.#fixed === null) this.#learn(block, page);
    const before = Math.floor(this.#pages / 2);
    return { from: Math.max(0, page - before), to: Math.min(blockPages, page - before + this.#pages) };
  }

  #learn(block: number, page: number): void {
    const near = this.#faults.some(
      (earlier) => earlier.block === block && Math.abs(earlier.page - page) <= 2 * this.#pages,
    );
    this.#pages = near
      ? Math.min(MOST_PAGES, this.#pages * 2)
      : Math.max(LEAST_PAGES, Math.floor(this.#pages * 0.75));
    this.#faults.push({ block, page });
    if (this.#faults.length > REMEMBERED) this.#faults.shift();
  }
}
