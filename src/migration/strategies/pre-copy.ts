import { Rounds } from "./rounds.ts";
import {
  type Decision,
  expectedDowntimeMs,
  inMs,
  isSettled,
  type Observation,
  pagesMs,
  type Strategy,
  type StrategyRun,
} from "./strategy.ts";

/** Pages that take no longer than this are not worth another round: other costs of a switchover outweigh them. */
const NEGLIGIBLE_MS = 40;

/** A stop now is worth less than one later while pages leave this much faster than the guest dirties others. */
const DRAINING_SHARE = 0.5;

/** What waits here when the guest stops lengthens the pause; less than this is lost in its other costs. */
const DRAINED_MS = 10;

/** For so many downtime limits at most: QEMU's rate of dirtying is of its last round, and may be of long ago. */
const DRAINING_LIMITS = 3;

/** Above what rounds came down to by this much, so that a guest that writes a little more doesn't cost a round. */
const HEADROOM = 1.5;

/**
 * Copies while the guest runs, round after round, and stops when what QEMU finds dirty fits the downtime limit **and**
 * further rounds would not make it notably less: the limit is a bound, not an aim.
 */
export const preCopy: Strategy = {
  name: "pre-copy",
  stopsFirst: false,
  resumesFirst: false,
  postcopy: false,
  order: "cold-first",
  start: () => new PreCopyRun(),
};

/** One run of pre-copy. */
export class PreCopyRun implements StrategyRun {
  readonly rounds = new Rounds();
  #couldStopSinceMs: number | null = null;

  decide(observation: Observation): Decision {
    const { rounds } = this;
    rounds.follow(
      observation.rounds,
      pagesMs(observation, observation.backlogPages + observation.unlistedPages),
    );
    if (!isSettled(observation)) rounds.beginAnew();
    if (!observation.firstPassDone) {
      return { action: "go-on", hurry: false, reason: "the first pass isn't over" };
    }
    const expected = `stopping now would cost ${inMs(expectedDowntimeMs(observation))}`;
    const leftMs = leftForPagesMs(observation);
    if (leftMs <= 0 || !Number.isFinite(leftMs)) {
      const reason = `${expected}, the limit is ${observation.downtimeLimitMs} ms`;
      return { action: "go-on", hurry: rounds.slowly, reason };
    }
    this.#couldStopSinceMs ??= observation.atMs;
    if (this.#isDraining(observation)) {
      const reason = `${expected}, and what waits here drains`;
      return { action: "go-on", hurry: rounds.slowly, reason };
    }
    if (!rounds.stalled) {
      const reason = `${expected}, and rounds may still shrink`;
      return { action: "permit", pagesMs: Math.min(NEGLIGIBLE_MS, leftMs), hurry: rounds.slowly, reason };
    }
    const enoughMs = Math.max(NEGLIGIBLE_MS, rounds.recentLeastMs * HEADROOM);
    const reason = `${expected}, and further rounds don't lower it`;
    return { action: "permit", pagesMs: Math.min(enoughMs, leftMs), hurry: true, reason };
  }

  /** Whether a moment more of the guest running saves nearly as much of its standing still. */
  #isDraining(observation: Observation): boolean {
    const { atMs, backlogPages, dirtyPagesPerSecond, pagesPerSecond, downtimeLimitMs } = observation;
    return (
      pagesMs(observation, backlogPages) > DRAINED_MS &&
      dirtyPagesPerSecond < pagesPerSecond * DRAINING_SHARE &&
      atMs - (this.#couldStopSinceMs ?? atMs) < DRAINING_LIMITS * downtimeLimitMs
    );
  }
}

/** What the limit leaves for pages that QEMU finds: what waits here, and all else, comes on top. */
export function leftForPagesMs(observation: Observation): number {
  const { downtimeLimitMs, fixedDowntimeMs, backlogPages } = observation;
  return downtimeLimitMs - fixedDowntimeMs - pagesMs(observation, backlogPages);
}
