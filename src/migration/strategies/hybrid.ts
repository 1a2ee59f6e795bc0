import { Rounds } from "./rounds.ts";
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

/** A round later it is known what is left; where none comes, and QEMU makes tens a second, there is nothing to wait for. */
const LOOK_MS = 1_000;

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
  resumesFirst: false,
  postcopy: true,
  order: "cold-first",
  start: () => new HybridRun(),
};

class HybridRun implements StrategyRun {
  readonly #rounds = new Rounds();
  #outrunSinceMs: number | null = null;
  #settledAtMs: number | null = null;

  decide(observation: Observation): Decision {
    const owedMs = pagesMs(observation, observation.backlogPages + observation.unlistedPages);
    this.#rounds.follow(observation.rounds, owedMs);
    if (!isSettled(observation)) {
      this.#rounds.beginAnew();
      return { action: "go-on", hurry: false, reason: "pages that the guest doesn't write to go first" };
    }
    const { atMs, backlogPages, dirtyPagesPerSecond, pagesPerSecond } = observation;
    const left = `${inMs(owedMs)} of pages are left`;
    this.#settledAtMs ??= atMs;
    const isKnown = this.#rounds.isJudged || atMs - this.#settledAtMs >= LOOK_MS;
    if (isKnown && owedMs <= NEGLIGIBLE_MS) return stop(`${left}, not worth a round`);
    if (pagesPerSecond <= 0) {
      if (isKnown && backlogPages === 0) return stop(`${left}, and none waits here`);
      // A link that carries nothing would not carry what the guest needs to resume either.
      return { action: "go-on", hurry: false, reason: `${left}, and none leaves now` };
    }
    if (dirtyPagesPerSecond < pagesPerSecond) this.#outrunSinceMs = null;
    else {
      // Pages that the guest writes to leave faster than those before them did: as differences.
      this.#outrunSinceMs ??= atMs;
      const rates = `${Math.round(dirtyPagesPerSecond)} pages/s, ${Math.round(pagesPerSecond)} leave`;
      if (atMs - this.#outrunSinceMs >= OUTRUN_MS) return stop(`${left}, and the guest dirties ${rates}`);
    }
    if (this.#rounds.slowly) return stop(`${left}, and rounds hardly shrink`);
    const why = isKnown ? "and rounds shrink" : "and QEMU has not looked for others since";
    return { action: "go-on", hurry: false, reason: `${left}, ${why}` };
  }
}

function stop(reason: string): Decision {
  return { action: "stop", hurry: false, reason };
}
