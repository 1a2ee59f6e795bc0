import { type Decision, expectedDowntimeMs, type Observation, pagesMs, type Strategy } from "./strategy.ts";

/** A round that leaves more than this share of the round before has stopped paying. */
const WORTHWHILE_SHARE = 0.85;

/** A round that leaves more than this share costs more in pages that go again than speed would in bytes. */
const QUICK_SHARE = 0.6;

/** Pages that take no longer than this are not worth another round: other costs of a switchover outweigh them. */
const NEGLIGIBLE_MS = 40;

/** Above the last round's pages by this much, so that a guest that writes a little more doesn't cost a round. */
const HEADROOM = 1.5;

/**
 * Copies while the guest runs, round after round, and stops when what QEMU finds dirty fits the downtime limit **and**
 * further rounds would not make it notably less: the limit is a bound, not an aim.
 */
export const preCopy: Strategy = {
  name: "pre-copy",
  stopsFirst: false,
  resumeSet: "all",
  order: "cold-first",
  start: () => new PreCopyRun(),
};

class PreCopyRun {
  #round = 0;
  #roundMs = 0;
  #lastRoundMs = Number.POSITIVE_INFINITY;
  #shrinking = true;
  #slowly = false;

  decide(observation: Observation): Decision {
    const owedMs = pagesMs(observation, observation.backlogPages + observation.unlistedPages);
    this.#follow(observation.rounds, owedMs);
    if (!observation.firstPassDone) {
      return { action: "go-on", hurry: false, reason: "the first pass isn't over" };
    }
    const { downtimeLimitMs, fixedDowntimeMs } = observation;
    const expected = `stopping now would cost ${inMs(expectedDowntimeMs(observation))}`;
    // What waits here is on top of what QEMU finds.
    const leftMs = downtimeLimitMs - fixedDowntimeMs - pagesMs(observation, observation.backlogPages);
    if (leftMs <= 0 || !Number.isFinite(leftMs)) {
      const reason = `${expected}, the limit is ${downtimeLimitMs} ms`;
      return { action: "go-on", hurry: this.#slowly, reason };
    }
    if (this.#shrinking) {
      const reason = `${expected}, and rounds still shrink`;
      return { action: "permit", pagesMs: Math.min(NEGLIGIBLE_MS, leftMs), hurry: this.#slowly, reason };
    }
    const enoughMs = Math.max(NEGLIGIBLE_MS, this.#lastRoundMs * HEADROOM);
    const reason = `${expected}, and further rounds don't lower it`;
    return { action: "permit", pagesMs: Math.min(enoughMs, leftMs), hurry: true, reason };
  }

  /** A round is as large as what was owed at its beginning. */
  #follow(round: number, owedMs: number): void {
    if (round > this.#round) {
      this.#shrinking = this.#roundMs < this.#lastRoundMs * WORTHWHILE_SHARE;
      this.#slowly = this.#roundMs > this.#lastRoundMs * QUICK_SHARE;
      if (this.#round > 0) this.#lastRoundMs = this.#roundMs;
      this.#round = round;
      this.#roundMs = owedMs;
    }
    this.#roundMs = Math.max(this.#roundMs, owedMs);
  }
}

function inMs(milliseconds: number): string {
  return Number.isFinite(milliseconds) ? `${Math.round(milliseconds)} ms` : "an unknown time";
}
