/** A round that leaves more than this share of the round before has stopped paying. */
const WORTHWHILE_SHARE = 0.85;

/** A round that leaves more than this share costs more in pages that go again than speed would in bytes. */
const QUICK_SHARE = 0.6;

/** Follows how large rounds are: a round is as large as what was owed at its beginning, in milliseconds of pages. */
export class Rounds {
  #round = 0;
  #currentMs = 0;
  #lastMs = Number.POSITIVE_INFINITY;
  #shrinking = true;
  #slowly = false;

  /** What is owed now, in the round of now. */
  follow(round: number, owedMs: number): void {
    if (round > this.#round) {
      this.#shrinking = this.#currentMs < this.#lastMs * WORTHWHILE_SHARE;
      this.#slowly = this.#currentMs > this.#lastMs * QUICK_SHARE;
      if (this.#round > 0) this.#lastMs = this.#currentMs;
      this.#round = round;
      this.#currentMs = owedMs;
    }
    this.#currentMs = Math.max(this.#currentMs, owedMs);
  }

  /** The last finished round was notably smaller than the one before. */
  get shrinking(): boolean {
    return this.#shrinking;
  }

  /** It was not much smaller: a few more rounds would not help. */
  get slowly(): boolean {
    return this.#slowly;
  }

  /** The size of the last finished round; infinite before there was one. */
  get lastMs(): number {
    return this.#lastMs;
  }
}
