import type { SourceCounters } from "../data/source-protocol.ts";
import type { EventBody } from "../event-log.ts";
import type { PhaseName } from "../events.ts";
import type { SourceRun } from "./run.ts";

/**
 * What a switchover costs besides pages: QEMU's own stop and final sync, loading the device state, two round trips
 * of the commit. 15–40 ms were seen in most runs on two shared cores; the page part is added to it.
 */
export const FIXED_DOWNTIME_MS = 40;

/** Rates are averages over this span: long enough to be calm, short enough to follow a guest that changes. */
const SPAN_MS = 1000;

interface Sample {
  readonly atMs: number;
  readonly settledPages: number;
  readonly listedRecords: number;
  readonly bytesOnWire: number;
}

/** Turns counters into rates, and rates into an estimate of the time left and its reason. */
export class ProgressMeter {
  readonly #run: SourceRun;
  readonly #samples: Sample[] = [];
  #counters: SourceCounters | null = null;
  #unlistedPages = 0;
  #dirtyPagesPerSecond = 0;

  constructor(run: SourceRun) {
    this.#run = run;
  }

  /** Takes the newest counters, and QEMU's own figures of about the same moment. */
  observe(
    counters: SourceCounters,
    figures: { readonly unlistedPages: number; readonly dirtyPagesPerSecond: number },
  ): void {
    this.#counters = counters;
    this.#unlistedPages = figures.unlistedPages;
    this.#dirtyPagesPerSecond = figures.dirtyPagesPerSecond;
    const atMs = this.#run.log.atMs;
    this.#samples.push({
      atMs,
      settledPages: counters.settledPages,
      listedRecords: counters.listedRecords,
      bytesOnWire: counters.bytesOnWire,
    });
    while (this.#samples.length > 2 && atMs - this.#samples[0]!.atMs > SPAN_MS) this.#samples.shift();
  }

  /** Pages that left a second, averaged over the last second. */
  get pagesPerSecond(): number {
    return this.#rate((sample) => sample.settledPages);
  }

  /** The progress event of this moment. */
  event(phase: PhaseName, why: string): EventBody {
    const counters = this.#counters!;
    const pagesPerSecond = this.pagesPerSecond;
    const { leftMs, leftReason } = this.#left(counters, pagesPerSecond, why);
    return {
      type: "progress",
      phase,
      owedPages: counters.backlogPages,
      totalPages: counters.totalPages,
      sentPages: counters.sentPages,
      bytesOnWire: counters.bytesOnWire + this.#run.link.bytesOnWire,
      wireBytesPerSecond: Math.round(this.#rate((sample) => sample.bytesOnWire)),
      pagesPerSecond: Math.round(pagesPerSecond),
      dirtyPagesPerSecond: this.#dirtyPagesPerSecond,
      rounds: this.#run.rounds,
      faultedPages: counters.faults,
      leftMs,
      leftReason,
    };
  }

  #left(
    counters: SourceCounters,
    pagesPerSecond: number,
    why: string,
  ): { leftMs: number | null; leftReason: string } {
    const pages = counters.backlogPages + this.#unlistedPages;
    if (pagesPerSecond <= 0) return { leftMs: null, leftReason: "no page has left yet" };
    const dirty = counters.firstPassDone ? this.#dirtyPagesPerSecond : 0;
    if (dirty >= pagesPerSecond) {
      return {
        leftMs: null,
        leftReason: `the guest dirties ${Math.round(dirty)} pages/s, ${Math.round(pagesPerSecond)} leave: ${why}`,
      };
    }
    const leftMs = Math.round((pages / (pagesPerSecond - dirty)) * 1000);
    return { leftMs, leftReason: counters.firstPassDone ? why : "first pass; dirtied pages come on top" };
  }

  #rate(amount: (sample: Sample) => number): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
    return ((amount(last) - amount(first)) / (last.atMs - first.atMs)) * 1000;
  }
}
