/** What one span of sending showed. */
export interface LinkReading {
  /** Bytes per second that the connection took. */
  readonly bytesPerSecond: number;
  /** True when the sender had to wait for the connection, so that the rate is the link's; else a lower bound. */
  readonly limited: boolean;
}

/** The span over which a rate is taken: long enough to smooth the kernel's socket buffer, short enough to follow. */
const SPAN_MS = 250;

/** A sender that waited for more than this part of a span was held up by the link. */
const LIMITED_PART = 0.2;

/**
 * Measures how fast a connection takes what is written, by its drains: the time in which the sender could not go
 * on because its buffers were full. A bandwidth cap counts as the link, since it has the same effect.
 */
export class LinkMeter {
  readonly #now: () => number;
  #spanBeganMs: number;
  #spanBytes = 0;
  #spanWaitedMs = 0;
  #waitBeganMs: number | undefined;
  #spans = 0;
  #reading: LinkReading = { bytesPerSecond: 0, limited: false };

  /** @param now milliseconds of a monotonic clock; for tests */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#spanBeganMs = now();
  }

  /** Spans finished so far: tells whether a reading is new. */
  get spans(): number {
    return this.#spans;
  }

  /** The last finished span. */
  get reading(): LinkReading {
    return this.#reading;
  }

  /** The connection took bytes. */
  took(bytes: number): void {
    this.#spanBytes += bytes;
    this.#turn();
  }

  /** The sender begins to wait. */
  waits(): void {
    this.#waitBeganMs ??= this.#now();
  }

  /** The sender goes on. */
  goesOn(): void {
    if (this.#waitBeganMs === undefined) return;
    const now = this.#now();
    this.#spanWaitedMs += now - Math.max(this.#waitBeganMs, this.#spanBeganMs);
    this.#waitBeganMs = undefined;
    this.#turn();
  }

  #turn(): void {
    const now = this.#now();
    const spanMs = now - this.#spanBeganMs;
    if (spanMs < SPAN_MS) return;
    if (this.#waitBeganMs !== undefined)
      this.#spanWaitedMs += now - Math.max(this.#waitBeganMs, this.#spanBeganMs);
    this.#reading = {
      bytesPerSecond: (this.#spanBytes * 1000) / spanMs,
      limited: this.#spanWaitedMs > LIMITED_PART * spanMs,
    };
    this.#spans += 1;
    this.#spanBeganMs = now;
    this.#spanBytes = 0;
    this.#spanWaitedMs = 0;
  }
}
