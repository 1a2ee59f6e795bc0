/** A way of sending is judged by what arrived in this much time with batches under way: several batches' worth. */
const TRIAL_MS = 300;

/** The other way is tried again after this long: loads and links change. */
const BELIEVED_MS = 5_000;

/** The other way must be this much faster, or noise would switch to and fro. */
const NOTABLY = 1.1;

/** Bytes of page contents that arrive in a second, while any are under way. */
export class ArrivalRate {
  #bytes = 0;
  #busyMs = 0;
  #sinceMs: number | undefined;
  #bytesPerSecond = 0;

  /** Of the last span of {@link TRIAL_MS} with something under way; 0 before there was one. */
  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** A batch leaves: if none was under way, the time until it arrives begins now. */
  left(nowMs: number): void {
    this.#sinceMs ??= nowMs;
  }

  /**
   * Batches arrived.
   * @param more whether others are still under way
   * @returns whether a span is full, and {@link bytesPerSecond} new
   */
  arrived(bytes: number, more: boolean, nowMs: number): boolean {
    this.#bytes += bytes;
    if (this.#sinceMs !== undefined) this.#busyMs += nowMs - this.#sinceMs;
    this.#sinceMs = more ? nowMs : undefined;
    if (this.#busyMs < TRIAL_MS) return false;
    this.#bytesPerSecond = (this.#bytes * 1000) / this.#busyMs;
    this.forget();
    return true;
  }

  /** What arrived so far doesn't count: it was sent in another way. */
  forget(): void {
    this.#bytes = 0;
    this.#busyMs = 0;
  }
}

/**
 * Whether to compress in the late rounds of a migration, when pages go again because the guest wrote to them. Every
 * millisecond saved then is less that the guest dirties meanwhile, so the faster way wins, whatever its bytes: both
 * are tried, and what arrives decides. It starts without compression, since a processor that zstd keeps busy is what
 * makes late rounds late; on a link that is too slow for that, the trial ends it.
 */
export class LateChoice {
  readonly #rates: { plain: number; zstd: number };
  readonly #arrivals = new ArrivalRate();
  #compressing = false;
  #otherSeenMs: number | undefined;

  /** @param zstdBytesPerSecond what the earlier rounds brought over with zstd; 0 when they didn't use it */
  constructor(zstdBytesPerSecond: number) {
    this.#rates = { plain: 0, zstd: zstdBytesPerSecond };
  }

  get compressing(): boolean {
    return this.#compressing;
  }

  /** A batch leaves. */
  left(nowMs: number): void {
    this.#arrivals.left(nowMs);
  }

  /** Batches arrived. @param compressed whether the last of them was: those from before a switch don't count */
  arrived(bytes: number, compressed: boolean, more: boolean, nowMs: number): void {
    const full = this.#arrivals.arrived(bytes, more, nowMs);
    if (compressed !== this.#compressing) this.#arrivals.forget();
    else if (full) this.#judge(nowMs);
  }

  #judge(nowMs: number): void {
    const own = this.#compressing ? "zstd" : "plain";
    const other = this.#compressing ? "plain" : "zstd";
    this.#rates[own] = this.#arrivals.bytesPerSecond;
    this.#otherSeenMs ??= nowMs;
    const stale = nowMs - this.#otherSeenMs > BELIEVED_MS;
    if (!stale && this.#rates[other] < this.#rates[own] * NOTABLY) return;
    this.#otherSeenMs = nowMs;
    this.#compressing = !this.#compressing;
  }
}
