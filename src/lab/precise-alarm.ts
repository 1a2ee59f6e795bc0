/** A timer of Node may come this much too late; the last stretch is watched in naps. */
const TIMER_LATENESS_MS = 1.5;

/** Longest nap unless told otherwise: the error of every alarm, and the longest that sockets wait meanwhile. */
const NAP_MS = 0.1;

const napCell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Calls back at a time of `performance.now()`, on average within a tenth of a millisecond where a timer of Node is
 * a whole one late. The last millisecond and a half before an alarm are spent in naps between looks at the sockets: with
 * naps of a tenth of a millisecond about a tenth of a processor while alarms follow each other closely, and nothing
 * otherwise. It is for programs that do little else.
 */
export class PreciseAlarm {
  readonly #callback: (now: number) => void;
  readonly #napMs: number;
  #dueAt = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;

  /**
   * @param callback gets the current time, and may set the alarm again
   * @param napMs the longest that sockets wait; each nap's end takes the processor from whoever has it
   */
  constructor(callback: (now: number) => void, napMs = NAP_MS) {
    this.#callback = callback;
    this.#napMs = napMs;
  }

  /** Sets the alarm to a time of `performance.now()`; there is one, the last set counts. */
  setAt(dueAt: number): void {
    if (dueAt === this.#dueAt) return;
    const earlier = dueAt < this.#dueAt;
    this.#dueAt = dueAt;
    if (this.#immediate !== null) return;
    if (earlier || this.#timer === null) this.#wait();
  }

  /** Takes the alarm back. */
  clear(): void {
    this.#dueAt = Number.POSITIVE_INFINITY;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#timer = null;
    this.#immediate = null;
  }

  #wait(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#dueAt === Number.POSITIVE_INFINITY) return;
    const farMs = this.#dueAt - performance.now() - TIMER_LATENESS_MS;
    if (farMs >= 1) {
      this.#timer = setTimeout(this.#look, Math.min(farMs, 2 ** 31 - 1));
    } else {
      this.#immediate = setImmediate(this.#look);
    }
  }

  readonly #look = (): void => {
    this.#timer = null;
    this.#immediate = null;
    const now = performance.now();
    if (now >= this.#dueAt) {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#callback(now);
      if (this.#immediate === null && this.#timer === null) this.#wait();
      return;
    }
    const leftMs = this.#dueAt - now;
    if (leftMs < TIMER_LATENESS_MS) Atomics.wait(napCell, 0, 0, Math.min(this.#napMs, leftMs));
    this.#wait();
  };
}
