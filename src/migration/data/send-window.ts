/** Fewer batches would leave a stage idle: one is packed, one crosses, one is placed, one waits. */
const LEAST_BATCHES = 4;

/** The same once nothing newer can come, so that nothing is lost by waiting in a buffer: then no stage waits for word. */
const LAST_BATCHES = 16;

/** 64 MiB of pages a connection: what a 10 Gbit/s link with 50 ms of round trip holds. */
const MOST_PAGES = 16_384;

/** Above what rate and delay ask for, so that a rate that grows can show. */
const HEADROOM = 1.25;

/** A delay is believed this long: routes and loads change. */
const DELAY_SPAN_MS = 10_000;

/** The rate is taken over this span. */
const RATE_SPAN_MS = 500;

/**
 * How many pages may be under way on one connection: as many as pass in the shortest time that a batch took from
 * being dealt to being placed, and some. More would only wait in buffers, where nothing overtakes them any more and
 * where they would lengthen the switchover (the idea of BBR, Cardwell et al. 2016, on batches).
 */
export class SendWindow {
  readonly #dealt: { readonly pages: number; readonly atMs: number }[] = [];
  #batchPages: number;
  #leastBatches = LEAST_BATCHES;
  #underWayPages = 0;
  #placedBatches = 0;
  #leastDelayMs = Number.POSITIVE_INFINITY;
  #leastDelaySeenMs = 0;
  #spanBeganMs = 0;
  #spanPages = 0;
  #pagesPerMs = 0;

  /** @param batchPages pages of a full batch */
  constructor(batchPages: number) {
    this.#batchPages = batchPages;
  }

  /** Batches are of this size from now on, and so the least that may be under way. */
  setBatchPages(batchPages: number): void {
    this.#batchPages = batchPages;
  }

  /** No page will be listed any more: what is left goes without waiting for word of what went before. */
  widen(): void {
    this.#leastBatches = LAST_BATCHES;
  }

  /** Pages that may be under way now. */
  get size(): number {
    const least = this.#leastBatches * this.#batchPages;
    if (this.#pagesPerMs === 0) return least;
    const wanted = Math.ceil(this.#pagesPerMs * this.#leastDelayMs * HEADROOM) + this.#batchPages;
    return Math.min(MOST_PAGES, Math.max(least, wanted));
  }

  /** Whether another batch may be dealt. */
  get isOpen(): boolean {
    return this.#dealt.length < this.#leastBatches || this.#underWayPages < this.size;
  }

  /** A batch was dealt. */
  dealt(pages: number, nowMs: number): void {
    this.#dealt.push({ pages, atMs: nowMs });
    this.#underWayPages += pages;
  }

  /** The destination has placed this many batches since the beginning. */
  placed(batches: number, nowMs: number): void {
    for (; this.#placedBatches < batches; this.#placedBatches++) {
      const { pages, atMs } = this.#dealt.shift()!;
      const delayMs = nowMs - atMs;
      if (delayMs <= this.#leastDelayMs || nowMs - this.#leastDelaySeenMs > DELAY_SPAN_MS) {
        this.#leastDelayMs = delayMs;
        this.#leastDelaySeenMs = nowMs;
      }
      this.#underWayPages -= pages;
      this.#spanPages += pages;
    }
    if (this.#spanBeganMs === 0) this.#spanBeganMs = nowMs;
    const spanMs = nowMs - this.#spanBeganMs;
    if (spanMs < RATE_SPAN_MS) return;
    this.#pagesPerMs = this.#spanPages / spanMs;
    this.#spanPages = 0;
    this.#spanBeganMs = nowMs;
  }
}
