import type { PageOrder } from "../scheduler.ts";

/** What a strategy sees of a live migration; measured, in pages and milliseconds. */
export interface Observation {
  /** Milliseconds since pages began to flow. */
  readonly atMs: number;
  /** QEMU has gone through all of its memory once. */
  readonly firstPassDone: boolean;
  /** QEMU has looked at what is dirty since it was last held up: before, it knows of little. */
  readonly hasLookedAgain: boolean;
  /** Pages owed or on their way, as far as QEMU has told us. */
  readonly backlogPages: number;
  /** Of those that wait, pages that the guest was not seen writing to; where these are many, at least so many. */
  readonly coldPages: number;
  /** Pages dirtied a second in QEMU's last round. */
  readonly dirtyPagesPerSecond: number;
  /** Pages dirty at QEMU's last sync that it hasn't told us of yet. */
  readonly unlistedPages: number;
  /** Dirty syncs of QEMU so far. */
  readonly rounds: number;
  /** Pages that leave a second, over the last second or so; 0 while unknown. */
  readonly pagesPerSecond: number;
  /** What the switchover costs besides pages: capture, loading the device state, round trips. */
  readonly fixedDowntimeMs: number;
  readonly downtimeLimitMs: number;
}

/** What a strategy wants now. */
export type Decision = {
  readonly reason: string;
  /** Speed counts more than bytes now: rounds must become shorter. */
  readonly hurry: boolean;
} & (
  | { readonly action: "go-on" }
  /** QEMU may stop the guest when a sync finds no more pages than pass in this time. */
  | { readonly action: "permit"; readonly pagesMs: number }
  /** The guest stops now, and resumes before its pages are there: post-copy. Final. */
  | { readonly action: "stop" }
);

/** One run of a strategy: it may remember what it saw. */
export interface StrategyRun {
  /** Asked about ten times a second while the source runs. */
  decide(observation: Observation): Decision;
}

/**
 * A strategy answers three questions: when to stop the source, which pages must be there before the destination
 * resumes, in which order the others go. The mechanism is shared by all.
 */
export interface Strategy {
  readonly name: string;
  /** The guest is stopped before the first page is copied. */
  readonly stopsFirst: boolean;
  /** The guest resumes before the first page is copied, but for its resume set: nothing leaves while it runs here. */
  readonly resumesFirst: boolean;
  /**
   * Whether the guest may resume before all pages are there, which it does when the strategy says `stop`. Where the
   * destination can't, pre-copy takes its place.
   */
  readonly postcopy: boolean;
  readonly order: PageOrder;
  start(): StrategyRun;
}

/** So few pages that were never written to count as none: a group's rest on each connection. */
export const FEW_COLD_PAGES = 1024;

/** For so long a guest must have dirtied as fast as pages leave before that counts: rates are averages over a second. */
export const OUTRUN_MS = 1_000;

/** Whether what is left are pages that the guest writes to, and QEMU knows which: from then on rounds tell something. */
export function isSettled({ firstPassDone, hasLookedAgain, coldPages }: Observation): boolean {
  return firstPassDone && hasLookedAgain && coldPages <= FEW_COLD_PAGES;
}

/** How long so many pages take at the rate of now, in milliseconds; infinite while no rate is known. */
export function pagesMs(observation: Observation, pages: number): number {
  if (pages === 0) return 0;
  return observation.pagesPerSecond <= 0
    ? Number.POSITIVE_INFINITY
    : (pages / observation.pagesPerSecond) * 1000;
}

/** The downtime that stopping now would bring, in milliseconds; infinite while no rate is known. */
export function expectedDowntimeMs(observation: Observation): number {
  return (
    observation.fixedDowntimeMs + pagesMs(observation, observation.backlogPages + observation.unlistedPages)
  );
}

/** Milliseconds in words, for reasons. */
export function inMs(milliseconds: number): string {
  return Number.isFinite(milliseconds) ? `${Math.round(milliseconds)} ms` : "an unknown time";
}
