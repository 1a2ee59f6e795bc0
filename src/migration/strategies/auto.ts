import { leftForPagesMs, PreCopyRun } from "./pre-copy.ts";
import {
  type Decision,
  inMs,
  isSettled,
  type Observation,
  OUTRUN_MS,
  pagesMs,
  type Strategy,
  type StrategyRun,
} from "./strategy.ts";

/** Rounds in a row that don't shrink before pre-copy is given up: one may be a burst of writes. */
const STALLED_ROUNDS = 2;

/** A guest that dirties this share of what leaves makes each round nearly as long as the one before. */
const OUTRUN_SHARE = 0.85;

/**
 * Begins as pre-copy, which needs no fault where it succeeds, and goes over to hybrid when its own rounds show that it
 * won't meet the downtime limit: nothing sent is lost, since both send the same pages in the same order.
 */
export const auto: Strategy = {
  name: "auto",
  stopsFirst: false,
  resumesFirst: false,
  postcopy: true,
  order: "cold-first",
  start: () => new AutoRun(),
};

class AutoRun implements StrategyRun {
  readonly #preCopy = new PreCopyRun();
  #round = 0;
  #inVain = 0;
  #outrunSinceMs: number | null = null;

  decide(observation: Observation): Decision {
    const decision = this.#preCopy.decide(observation);
    const { rounds } = this.#preCopy;
    const limitMs = leftForPagesMs({ ...observation, backlogPages: 0 });
    if (observation.rounds > this.#round) {
      this.#round = observation.rounds;
      // QEMU may go round after round over a few pages while cold ones still wait here: that says nothing of what the
      // guest writes to, whose turn comes after them.
      this.#inVain =
        !isSettled(observation) || rounds.shrinking || rounds.lastMs <= limitMs ? 0 : this.#inVain + 1;
    }
    if (!observation.firstPassDone) return decision;
    if (this.#isOutrun(observation, limitMs)) {
      const { dirtyPagesPerSecond, pagesPerSecond } = observation;
      const rates = `the guest dirties ${Math.round(dirtyPagesPerSecond)} pages/s, ${Math.round(pagesPerSecond)} leave`;
      return { action: "stop", hurry: false, reason: `${rates}: the rest follows after the resume` };
    }
    if (this.#inVain < STALLED_ROUNDS) return decision;
    const reason =
      `${this.#inVain} rounds did not shrink, the last was ${inMs(rounds.lastMs)} of pages and the limit leaves ` +
      `${inMs(limitMs)}: the rest follows after the resume`;
    return { action: "stop", hurry: false, reason };
  }

  /** Whether the guest has dirtied about as fast as pages leave for a while, and what is left is above the limit. */
  #isOutrun(observation: Observation, limitMs: number): boolean {
    const { atMs, backlogPages, unlistedPages, dirtyPagesPerSecond, pagesPerSecond } = observation;
    const leftMs = pagesMs(observation, backlogPages + unlistedPages);
    const outrun = pagesPerSecond > 0 && dirtyPagesPerSecond >= pagesPerSecond * OUTRUN_SHARE;
    if (!outrun || !isSettled(observation) || leftMs <= limitMs) this.#outrunSinceMs = null;
    else this.#outrunSinceMs ??= atMs;
    return this.#outrunSinceMs !== null && atMs - this.#outrunSinceMs >= OUTRUN_MS;
  }
}
