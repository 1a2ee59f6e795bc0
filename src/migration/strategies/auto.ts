import { leftForPagesMs, PreCopyRun } from "./pre-copy.ts";
import { type Decision, inMs, type Observation, type Strategy, type StrategyRun } from "./strategy.ts";

/** Rounds in a row that don't shrink before pre-copy is given up: one may be a burst of writes. */
const STALLED_ROUNDS = 2;

/**
 * Begins as pre-copy, which needs no fault where it succeeds, and goes over to hybrid when its own rounds show that it
 * won't meet the downtime limit: nothing sent is lost, since both send the same pages in the same order.
 */
export const auto: Strategy = {
  name: "auto",
  stopsFirst: false,
  postcopy: "after-live",
  order: "cold-first",
  start: () => new AutoRun(),
};

class AutoRun implements StrategyRun {
  readonly #preCopy = new PreCopyRun();
  #round = 0;
  #inVain = 0;

  decide(observation: Observation): Decision {
    const decision = this.#preCopy.decide(observation);
    const { rounds } = this.#preCopy;
    const limitMs = leftForPagesMs({ ...observation, backlogPages: 0 });
    if (observation.rounds > this.#round) {
      this.#round = observation.rounds;
      this.#inVain = rounds.shrinking || rounds.lastMs <= limitMs ? 0 : this.#inVain + 1;
    }
    if (!observation.firstPassDone || this.#inVain < STALLED_ROUNDS) return decision;
    const reason =
      `${this.#inVain} rounds did not shrink, the last was ${inMs(rounds.lastMs)} of pages and the limit leaves ` +
      `${inMs(limitMs)}: the rest follows after the resume`;
    return { action: "stop", hurry: false, reason };
  }
}
