import { type Decision, expectedDowntimeMs, type Observation, type Strategy } from "./strategy.ts";

/** A round that leaves more than this share of the round before has stopped paying. */
const WORTHWHILE_SHARE = 0.8;

/** Pages that take no longer than this are not worth another round: other costs of a switchover outweigh them. */
const NEGLIGIBLE_MS = 10;

/**
 * Copies while the guest runs, round after round, and stops when what is owed fits the downtime limit **and** a
 * further round would not make it notably less: the limit is a bound, not an aim.
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
  #roundMs = Number.POSITIVE_INFINITY;
  #shrinking = true;

  decide(observation: Observation): Decision {
    if (!observation.firstPassDone) return { action: "go-on", reason: "the first pass isn't over" };
    const downtimeMs = expectedDowntimeMs(observation);
    if (observation.rounds > this.#round) {
      this.#shrinking = downtimeMs < this.#roundMs * WORTHWHILE_SHARE;
      this.#round = observation.rounds;
      this.#roundMs = downtimeMs;
    }
    const expected = `stopping now would cost ${inMs(downtimeMs)}`;
    if (downtimeMs > observation.downtimeLimitMs) {
      return { action: "go-on", reason: `${expected}, the limit is ${observation.downtimeLimitMs} ms` };
    }
    if (downtimeMs - observation.fixedDowntimeMs <= NEGLIGIBLE_MS) {
      return { action: "stop", reason: `${expected}, nearly nothing is owed` };
    }
    if (!this.#shrinking) return { action: "stop", reason: `${expected}, and further rounds don't lower it` };
    return { action: "go-on", reason: `${expected}, and rounds still shrink` };
  }
}

function inMs(milliseconds: number): string {
  return Number.isFinite(milliseconds) ? `${Math.round(milliseconds)} ms` : "an unknown time";
}
