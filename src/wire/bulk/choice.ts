import type { LinkMeter } from "./link-meter.ts";

/** How batches are packed: `auto` compresses only where the link is slower than the processor can compress. */
export type CompressionMode = "auto" | "none" | "zstd";

/** Rates of one connection and its thread, in bytes of page contents per second unless said. */
export interface MeasuredRates {
  /** Bytes on the wire per second that the link takes; Infinity while it was never the limit. */
  readonly linkBytesPerSecond: number;
  /** What the thread can do with zstd. */
  readonly zstdBytesPerSecond: number;
  /** What the thread can do without. */
  readonly plainBytesPerSecond: number;
  /** Bytes left of one byte by zstd. */
  readonly sizeLeft: number;
}

/**
 * Without compression the memory must be taken in this much faster than with it before it is left out, since
 * bytes that aren't sent are worth something too; it comes back at the lower figure. The gap keeps noise from
 * switching to and fro.
 */
const LEAVE_AT = 1.3;
const RETURN_AT = 1.1;

/** Whether to compress from now on, by what each way would bring, given what is done now. */
export function shouldCompress(rates: MeasuredRates, compressing: boolean): boolean {
  const plain = Math.min(rates.linkBytesPerSecond, rates.plainBytesPerSecond);
  const zstd = Math.min(rates.linkBytesPerSecond / rates.sizeLeft, rates.zstdBytesPerSecond);
  return plain < zstd * (compressing ? LEAVE_AT : RETURN_AT);
}

/** A core without compression moves about this much through TLS; replaced by no measurement, only a ceiling. */
const PLAIN_BYTES_PER_SECOND = 1.3e9;

/** The kernel's socket buffer swallows the first megabytes at memory speed: no judgement before. */
const JUDGE_AFTER_BYTES = 32 * 1024 * 1024;

/** A link's rate is believed this long, twice as long after each try that changed nothing, up to a minute. */
const BELIEVE_MS = 10_000;
const BELIEVE_AT_MOST_MS = 60_000;

/**
 * Decides per batch. Starts with zstd. When the link never held the sender up, the processor is the limit: plain
 * sending is tried, and either turns out faster or shows what the link can take, which sends it back.
 */
export class CompressionChoice {
  readonly #mode: CompressionMode;
  readonly #meter: LinkMeter | undefined;
  readonly #now: () => number;
  #compressing = true;
  #seenSpans = 0;
  #sinceSwitchBytes = 0;
  #linkBytesPerSecond = Number.POSITIVE_INFINITY;
  #linkKnownUntilMs = 0;
  #believeMs = BELIEVE_MS;
  #zstdMs = 0;
  #zstdBytes = 0;
  #zstdLeftBytes = 0;

  constructor(
    mode: CompressionMode,
    meter: LinkMeter | undefined,
    now: () => number = () => performance.now(),
  ) {
    this.#mode = mode;
    this.#meter = meter;
    this.#now = now;
  }

  /** Whether the next batch should be compressed. */
  wantsCompression(): boolean {
    if (this.#mode !== "auto" || this.#meter === undefined) return this.#mode !== "none";
    if (this.#meter.spans !== this.#seenSpans) this.#judge(this.#meter);
    return this.#compressing;
  }

  /** A batch was given to zstd. */
  compressed(bytes: number, leftBytes: number, tookMs: number): void {
    this.#zstdBytes += bytes;
    this.#zstdLeftBytes += leftBytes;
    this.#zstdMs += tookMs;
    this.#sinceSwitchBytes += leftBytes;
    if (this.#zstdBytes > 256 * 1024 * 1024) {
      this.#zstdBytes /= 2;
      this.#zstdLeftBytes /= 2;
      this.#zstdMs /= 2;
    }
  }

  /** A batch was left as it is. */
  stored(bytes: number): void {
    this.#sinceSwitchBytes += bytes;
  }

  #judge(meter: LinkMeter): void {
    this.#seenSpans = meter.spans;
    if (this.#sinceSwitchBytes < JUDGE_AFTER_BYTES || this.#zstdMs === 0) return;
    const now = this.#now();
    const { bytesPerSecond, limited } = meter.reading;
    if (limited) {
      this.#linkBytesPerSecond = bytesPerSecond;
      this.#linkKnownUntilMs = now + this.#believeMs;
    } else if (now > this.#linkKnownUntilMs || bytesPerSecond > this.#linkBytesPerSecond) {
      this.#linkBytesPerSecond = Number.POSITIVE_INFINITY;
    }
    const compress = shouldCompress(
      {
        linkBytesPerSecond: this.#linkBytesPerSecond,
        zstdBytesPerSecond: (this.#zstdBytes * 1000) / this.#zstdMs,
        plainBytesPerSecond: PLAIN_BYTES_PER_SECOND,
        sizeLeft: this.#zstdLeftBytes / this.#zstdBytes,
      },
      this.#compressing,
    );
    if (compress === this.#compressing) return;
    if (compress) this.#believeMs = Math.min(2 * this.#believeMs, BELIEVE_AT_MOST_MS);
    this.#compressing = compress;
    this.#sinceSwitchBytes = 0;
  }
}
