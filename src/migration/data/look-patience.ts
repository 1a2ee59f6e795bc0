/**
 * An answer is given up after ten times what the first one took, within these bounds: pages may wait for it, but giving
 * up costs all that would be left out, a minute of a link of 1 Gbit/s where 8 GiB are idle.
 */
const PATIENCE = 10;
const LEAST_PATIENCE_MS = 5_000;
const MOST_PATIENCE_MS = 10_000;

/** The same where no page waits: kpageflags of 2 GiB took a busy emulated guest more than 5 s, and more have 8 GiB. */
const UNHURRIED_PATIENCE_MS = 30_000;

/** Times as long as the last answer took that a slow guest has for the next. */
const SLOW_PATIENCE = 2;

/** How long a guest may take to list its free pages. */
export class LookPatience {
  /** While the guest is about to stop, and wherever no longer wait is worth it. */
  readonly leastMs: number;
  /** While no page waits for the answer. */
  readonly unhurriedMs = UNHURRIED_PATIENCE_MS;
  #slowMs = 0;

  /** @param firstTookMs what the answer before the migration took */
  constructor(firstTookMs: number) {
    this.leastMs = Math.min(MOST_PATIENCE_MS, Math.max(LEAST_PATIENCE_MS, PATIENCE * firstTookMs));
  }

  /**
   * While pages wait for the answer: no longer than they would take to leave at the rate so far, so that waiting in
   * vain at most doubles what was left of the move.
   */
  get waitedForMs(): number {
    return Math.max(this.leastMs, this.#slowMs);
  }

  /** An answer came; so many pages wait for the next one now, and so many were sent since the first left. */
  answered(
    tookMs: number,
    waitingPages: number,
    sent: { readonly pages: number; readonly ms: number },
  ): void {
    const leavingMs = sent.pages === 0 ? 0 : (waitingPages * sent.ms) / sent.pages;
    this.#slowMs = Math.min(SLOW_PATIENCE * tookMs, leavingMs, UNHURRIED_PATIENCE_MS);
  }
}
