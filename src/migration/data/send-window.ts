/** Fewer would leave a stage idle: one batch is packed, one crosses, one is placed, one waits. */
const LEAST_BATCHES = 4;

/** 64 MiB of pages a connection: what a 10 Gbit/s link with 50 ms of round trip holds. */
const MOST_BATCHES = 64;

/** Above what rate and delay ask for, so that a rate that grows can show. */
const HEADROOM = 1.25;

/** A delay is believed this long: routes and loads change. */
const DELAY_SPAN_MS = 10_000;

/** The rate is taken over this span. */
const RATE_SPAN_MS = 500;

/**
 * How many batches may be under way on one connection: as many as pass in the shortest time that one took from being
 * dealt to being placed, and some. More would only wait in buffers, where nothing overtakes it any more and where it
 * would lengthen the switchover (the idea of BBR, Cardwell et al. 2016, on batches).
 */
export class SendWindow {
  readonly #dealtAtMs: number[] = [];
  #placed = 0;
  #leastDelayMs = Number.POSITIVE_INFINITY;
  #leastDelaySeenMs = 0;
  #spanBeganMs = 0;
  #spanBatches = 0;
  #batchesPerMs = 0;

  /** Batches that may be under way now. */
  get size(): number {
    if (this.#batchesPerMs === 0) return LEAST_BATCHES;
    const wanted = Math.ceil(this.#batchesPerMs * this.#leastDelayMs * HEADROOM) + 1;
    return Math.min(MOST_BATCHES, Math.max(LEAST_BATCHES, wanted));
  }

  /** Whether another batch may be dealt. */
  get isOpen(): boolean {
    return this.#dealtAtMs.length < this.size;
  }

  /** A batch was dealt. */
  dealt(nowMs: number): void {
    this.#dealtAtMs.push(nowMs);
  }

  /** The destination has placed this many batches since the beginning. */
  placed(batches: number, nowMs: number): void {
    for (; this.#placed < batches; this.#placed++) {
      const delayMs = nowMs - this.#dealtAtMs.shift()!;
      if (delayMs <= this.#leastDelayMs || nowMs - this.#leastDelaySeenMs > DELAY_SPAN_MS) {
        this.#leastDelayMs = delayMs;
        this.#leastDelaySeenMs = nowMs;
      }
      this.#spanBatches += 1;
    }
    if (this.#spanBeganMs === 0) this.#spanBeganMs = nowMs;
    const spanMs = nowMs - this.#spanBeganMs;
    if (spanMs < RATE_SPAN_MS) return;
    this.#batchesPerMs = this.#spanBatches / spanMs;
    this.#spanBatches = 0;
    this.#spanBeganMs = nowMs;
  }
}
