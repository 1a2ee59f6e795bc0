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

  decide(observation: Observation): Decision {
    const decision = this.#preCopy.decide(observation);
    const { rounds } = this.#preCopy;
    const limitMs = leftForPagesMs({ ...observation, backlogPages: 0 });
    if (!observation.firstPassDone || rounds.stalled < STALLED_ROUNDS || rounds.lastMs <= limitMs)
      return decision;
    const reason = `${rounds.stalled} rounds did not shrink, the last was ${inMs(rounds.lastMs)} of pages and the limit leaves ${inMs(limitMs)}: the rest follows after the resume`;
    return { action: "stop", hurry: false, reason };
  }
}
