/** Buckets of powers of two in microseconds: 2^39 µs are six days. */
const BUCKETS = 40;

/** Latencies kept for percentiles; beyond that the histogram alone goes on. */
const MOST_SAMPLES = 200_000;

/** What the destination's QEMU asked for and how long it waited. */
export interface FaultFigures {
  readonly faults: number;
  /** Requests answered within 2^i microseconds and not within 2^(i-1), by i. */
  readonly latencyCounts: readonly number[];
  readonly p50Us: number;
  readonly p99Us: number;
  /** Time with at least one request unanswered. */
  readonly stalledMs: number;
}

/** Times the requests of QEMU, from reading one to having written its page. */
export class FaultLatency {
  readonly #askedMs = new Map<string, number>();
  readonly #counts = new Array<number>(BUCKETS).fill(0);
  readonly #samplesUs: number[] = [];
  #faults = 0;
  #stalledMs = 0;
  #stalledSinceMs = 0;

  /** QEMU asks for a page. Asking again while it waits counts once. */
  asked(block: number, page: number, nowMs: number): void {
    const key = `${block} ${page}`;
    if (this.#askedMs.has(key)) return;
    if (this.#askedMs.size === 0) this.#stalledSinceMs = nowMs;
    this.#askedMs.set(key, nowMs);
    this.#faults += 1;
  }

  /** Whether any request waits. */
  get waits(): boolean {
    return this.#askedMs.size > 0;
  }

  /** A page was written to QEMU. */
  placed(block: number, page: number, nowMs: number): void {
    const key = `${block} ${page}`;
    const askedMs = this.#askedMs.get(key);
    if (askedMs === undefined) return;
    this.#askedMs.delete(key);
    const us = (nowMs - askedMs) * 1000;
    const bucket = Math.min(BUCKETS - 1, Math.max(0, Math.ceil(Math.log2(Math.max(1, us)))));
    this.#counts[bucket]! += 1;
    if (this.#samplesUs.length < MOST_SAMPLES) this.#samplesUs.push(us);
    if (this.#askedMs.size === 0) this.#stalledMs += nowMs - this.#stalledSinceMs;
  }

  /** All so far. */
  figures(nowMs: number): FaultFigures {
    const sorted = Float64Array.from(this.#samplesUs).sort();
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
    const last = this.#counts.findLastIndex((count) => count > 0);
    return {
      faults: this.#faults,
      latencyCounts: this.#counts.slice(0, last + 1),
      p50Us: at(0.5),
      p99Us: at(0.99),
      stalledMs: this.#stalledMs + (this.waits ? nowMs - this.#stalledSinceMs : 0),
    };
  }
}
