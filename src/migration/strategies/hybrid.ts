import { Rounds } from "./rounds.ts";
import {
  type Decision,
  FEW_COLD_PAGES,
  inMs,
  type Observation,
  pagesMs,
  type Strategy,
  type StrategyRun,
} from "./strategy.ts";

/** Another round for less than this would only cost time. */
const NEGLIGIBLE_MS = 40;

/**
 * Sends every page while the guest runs, those that it writes to last, and resumes it at the destination without
 * those that it wrote to again: they follow by fault, neighbourhood and push (Sahni and Varma 2012). The pause knows
 * no backlog, so that no round is made for its sake, only where it saves faults.
 */
export const hybrid: Strategy = {
  name: "hybrid",
  stopsFirst: false,
  postcopy: true,
  order: "cold-first",
  start: () => new HybridRun(),
};

class HybridRun implements StrategyRun {
  readonly #rounds = new Rounds();

  decide(observation: Observation): Decision {
    const owedMs = pagesMs(observation, observation.backlogPages + observation.unlistedPages);
    this.#rounds.follow(observation.rounds, owedMs);
    if (!observation.firstPassDone || observation.coldPages > FEW_COLD_PAGES) {
      return { action: "go-on", hurry: false, reason: "pages that the guest doesn't write to go first" };
    }
    const { backlogPages, dirtyPagesPerSecond, pagesPerSecond } = observation;
    const left = `${inMs(owedMs)} of pages are left`;
    if (owedMs <= NEGLIGIBLE_MS) return stop(`${left}, not worth a round`);
    if (backlogPages > 0 && pagesPerSecond <= 0) {
      // A link that carries nothing would not carry what the guest needs to resume either.
      return { action: "go-on", hurry: false, reason: `${left}, and none leaves now` };
    }
    if (dirtyPagesPerSecond >= pagesPerSecond) {
      const rates = `${Math.round(dirtyPagesPerSecond)} pages/s, ${Math.round(pagesPerSecond)} leave`;
      return stop(`${left}, and the guest dirties ${rates}`);
    }
    if (this.#rounds.slowly) return stop(`${left}, and rounds hardly shrink`);
    return { action: "go-on", hurry: false, reason: `${left}, and rounds shrink` };
  }
}

function stop(reason: string): Decision {
  return { action: "stop", hurry: false, reason };
}
