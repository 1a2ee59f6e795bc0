import type { LinkMeter, LinkReading } from "./link-meter.ts";

/**
 * How batches are packed: `auto` compresses, with zstd, only where the link is slower than the processor can compress.
 * `lz4` leaves more than zstd for less processor time.
 */
export type CompressionMode = "auto" | "none" | "zstd" | "lz4";

/** Rates of one connection and its thread, in bytes of page contents per second unless said. */
export interface MeasuredRates {
  /** Bytes on the wire per second that the link takes. */
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

/** zstd's rate and ratio are those of about the last this much memory. */
const FORGET_BYTES = 256 * 1024 * 1024;

/** A core without compression moves about this much through TLS. Only a ceiling: a slower core is seen as such. */
const PLAIN_BYTES_PER_SECOND = 1.3e9;

/**
 * A trial of plain sending lasts this long, in bytes on the wire: the connection's own buffers and the kernel's at
 * both ends swallow the first 10 MiB at memory speed, so less would tell nothing about the link.
 */
const TRIAL_BYTES = 16 * 1024 * 1024;

/**
 * A trial comes after this many compressed bytes on the wire, so that one in vain costs less than 5 %, and after
 * twice as many each time it was in vain. A connection that carries less than this only learns from a link that
 * holds it up.
 */
const TRIAL_AFTER_BYTES = 256 * 1024 * 1024;
const TRIAL_AFTER_AT_MOST_BYTES = 8 * TRIAL_AFTER_BYTES;

/**
 * Decides per batch. Starts with zstd. Where the link holds the sender up, its rate is known and decides. Where it
 * doesn't, the processor is the limit, and plain sending is tried now and then: it either turns out faster or
 * shows what the link can take, which ends the trial.
 */
export class CompressionChoice {
  readonly #mode: CompressionMode;
  readonly #meter: LinkMeter | undefined;
  #compressing = true;
  #seenSpans = 0;
  #sinceSwitchBytes = 0;
  #trialAfterBytes = TRIAL_AFTER_BYTES;
  #linkBytesPerSecond: number | undefined;
  #zstdMs = 0;
  #zstdBytes = 0;
  #zstdLeftBytes = 0;

  constructor(mode: CompressionMode, meter: LinkMeter | undefined) {
    this.#mode = mode;
    this.#meter = meter;
  }

  /** Whether the next batch should be compressed. */
  wantsCompression(): boolean {
    if (this.#mode !== "auto" || this.#meter === undefined) return this.#mode !== "none";
    if (this.#meter.spans !== this.#seenSpans) {
      this.#seenSpans = this.#meter.spans;
      this.#judge(this.#meter.reading);
    }
    return this.#compressing;
  }

  /** Whether the link has held up the sender, as far as is known. */
  get linkWasLimit(): boolean {
    return this.#linkBytesPerSecond !== undefined;
  }

  /** A batch was given to zstd. */
  compressed(bytes: number, leftBytes: number, tookMs: number): void {
    this.#zstdBytes += bytes;
    this.#zstdLeftBytes += leftBytes;
    this.#zstdMs += tookMs;
    this.#sinceSwitchBytes += leftBytes;
    if (this.#zstdBytes > FORGET_BYTES) {
      this.#zstdBytes /= 2;
      this.#zstdLeftBytes /= 2;
      this.#zstdMs /= 2;
    }
  }

  /** A batch was left as it is. */
  stored(bytes: number): void {
    this.#sinceSwitchBytes += bytes;
  }

  #judge({ bytesPerSecond, limited }: LinkReading): void {
    const known = this.#linkBytesPerSecond;
    if (limited) this.#linkBytesPerSecond = bytesPerSecond;
    else if (known !== undefined) this.#linkBytesPerSecond = Math.max(known, bytesPerSecond);
    if (this.#sinceSwitchBytes < TRIAL_BYTES || this.#zstdMs === 0) return;
    if (this.#compressing && !limited && this.#sinceSwitchBytes >= this.#trialAfterBytes) {
      this.#linkBytesPerSecond = undefined;
      this.#switch(false);
      return;
    }
    if (this.#linkBytesPerSecond === undefined) return;
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
    if (compress) this.#trialAfterBytes = Math.min(2 * this.#trialAfterBytes, TRIAL_AFTER_AT_MOST_BYTES);
    this.#switch(compress);
  }

  #switch(compress: boolean): void {
    this.#compressing = compress;
    this.#sinceSwitchBytes = 0;
  }
}
