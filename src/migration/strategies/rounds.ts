/** A round that leaves more than this share of the round before has stopped paying. */
const WORTHWHILE_SHARE = 0.85;

/** A round that leaves more than this share costs more in pages that go again than speed would in bytes. */
const QUICK_SHARE = 0.6;

/** So many rounds in a row that did not shrink are no burst of writes. */
const STALLED_ROUNDS = 2;

/** So many rounds that were none the smallest so far go up and down about something that they won't get below. */
const ROUNDS_WITHOUT_BEST = 5;

/** A round so many times the one before begins anew: QEMU had not looked at what is dirty for a while. */
const JUMP = 2;

/** After so many rounds, 16 times some 0.1 s, the guest has had its chance to write less. */
const MOST_ROUNDS = 16;

/** What rounds come down to is judged by as many, so that it follows a guest that writes more than before. */
const RECENT_ROUNDS = 3;

/** Follows how large rounds are: a round is as large as what was owed at its beginning, in milliseconds of pages. */
export class Rounds {
  #round = 0;
  #currentMs = 0;
  #lastMs = Number.POSITIVE_INFINITY;
  #shrinking = true;
  #slowly = false;
  /** The round of now does not count: it began before {@link beginAnew}. */
  #isPassedOver = false;
  #finished = 0;
  #inVain = 0;
  #bestMs = Number.POSITIVE_INFINITY;
  #sinceBest = 0;
  #recentMs: readonly number[] = [];

  /** What is owed now, in the round of now. */
  follow(round: number, owedMs: number): void {
    if (round > this.#round) {
      this.#shrinking = this.#isPassedOver || this.#currentMs < this.#lastMs * WORTHWHILE_SHARE;
      this.#slowly = !this.#isPassedOver && this.#currentMs > this.#lastMs * QUICK_SHARE;
      if (this.#round > 0) this.#finish();
      this.#round = round;
      this.#currentMs = owedMs;
    }
    this.#currentMs = Math.max(this.#currentMs, owedMs);
  }

  /** Rounds until now tell nothing of those to come: pages still leave that the guest does not write to. */
  beginAnew(): void {
    this.#isPassedOver = true;
    this.#shrinking = true;
    this.#slowly = false;
    this.#finished = 0;
    this.#recentMs = [];
    this.#forgetBest();
  }

  /** Whether a round is over that began after {@link beginAnew}. */
  get isJudged(): boolean {
    return this.#finished > 0;
  }

  /** Rounds come down no further: several in a row did not shrink, or many none was the smallest of. */
  get stalled(): boolean {
    return (
      this.#inVain >= STALLED_ROUNDS ||
      this.#sinceBest >= ROUNDS_WITHOUT_BEST ||
      this.#finished >= MOST_ROUNDS
    );
  }

  /** The smallest of the last few rounds; infinite before there was one. */
  get recentLeastMs(): number {
    return Math.min(...this.#recentMs, Number.POSITIVE_INFINITY);
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

  #finish(): void {
    const sizeMs = this.#currentMs;
    const lastMs = this.#lastMs;
    this.#lastMs = sizeMs;
    if (this.#isPassedOver) {
      this.#isPassedOver = false;
      return;
    }
    if (sizeMs > lastMs * JUMP) this.#forgetBest();
    else if (!this.#shrinking) this.#inVain += 1;
    else this.#inVain = 0;
    this.#sinceBest = sizeMs < this.#bestMs ? 0 : this.#sinceBest + 1;
    this.#bestMs = Math.min(this.#bestMs, sizeMs);
    this.#finished += 1;
    this.#recentMs = [...this.#recentMs, sizeMs].slice(-RECENT_ROUNDS);
  }

  #forgetBest(): void {
    this.#inVain = 0;
    this.#sinceBest = 0;
    this.#bestMs = Number.POSITIVE_INFINITY;
  }
}
