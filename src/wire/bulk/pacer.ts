import { GodwitError } from "../../base/errors.ts";

const NEXT = 0;
const RATE = 1;
const SECOND_NS = 1_000_000_000n;

/**
 * How far ahead of its rate a sender may be before it has to wait: much longer than timers are late on a busy
 * machine, so that late timers are made good, and short enough that no second sees more than 4 % extra.
 */
const TOLERANCE_NS = 40_000_000n;

/**
 * One bandwidth cap for many threads: the generic cell rate algorithm (ITU-T I.371) on a clock value in shared
 * memory. Each thread reserves what it is about to write and waits as long as it is told; so the sum of all keeps
 * the rate, however the threads share it.
 */
export class Pacer {
  /** Hand this to the other threads. */
  readonly shared: SharedArrayBuffer;
  readonly #words: BigInt64Array;
  readonly #now: () => bigint;

  /**
   * @param shared the buffer of a pacer of another thread of this process; without one this is a new pacer
   * @param now nanoseconds of a clock that all threads share; for tests
   */
  constructor(shared?: SharedArrayBuffer, now: () => bigint = process.hrtime.bigint) {
    this.shared = shared ?? new SharedArrayBuffer(16);
    this.#words = new BigInt64Array(this.shared);
    this.#now = now;
  }

  /**
   * Sets the cap for all threads; null means none. What was reserved at the old rate is waited for at the new one.
   * @throws GodwitError `GODWIT_BAD_QUANTITY` for a rate below 1 byte per second
   */
  setRate(bytesPerSecond: number | null): void {
    if (bytesPerSecond !== null && !(bytesPerSecond >= 1 && bytesPerSecond <= 1e15)) {
      throw new GodwitError("GODWIT_BAD_QUANTITY", `${bytesPerSecond} bytes per second is no rate`);
    }
    const rate = bytesPerSecond === null ? 0n : BigInt(Math.round(bytesPerSecond));
    const old = Atomics.exchange(this.#words, RATE, rate);
    for (;;) {
      const next = Atomics.load(this.#words, NEXT);
      const now = this.#now();
      const ahead = next > now ? next - now : 0n;
      const rescaled = rate === 0n || old === 0n ? now : now + (ahead * old) / rate;
      if (Atomics.compareExchange(this.#words, NEXT, next, rescaled) === next) return;
    }
  }

  /** Takes note of bytes for the wire; returns how many milliseconds to wait before writing more, 0 for none. */
  reserve(bytes: number): number {
    const rate = Atomics.load(this.#words, RATE);
    if (rate === 0n) return 0;
    const cost = (BigInt(bytes) * SECOND_NS) / rate;
    for (;;) {
      const next = Atomics.load(this.#words, NEXT);
      const now = this.#now();
      let reserved = now + cost;
      if (next > now) reserved = next + cost;
      if (Atomics.compareExchange(this.#words, NEXT, next, reserved) !== next) continue;
      const waitNs = reserved - now - TOLERANCE_NS;
      return waitNs > 0n ? Number(waitNs) / 1e6 : 0;
    }
  }
}
