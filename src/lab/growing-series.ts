import type { ProbeSeries } from "./probe-gaps.ts";

/** Two hours of a probe each millisecond: 115 MB, the bound of what a probe keeps. */
const MOST_PROBES = 7_200_000;

const FIRST_CAPACITY = 65_536;

/** A {@link ProbeSeries} that grows, without an object per probe. */
export class GrowingSeries {
  #sentAt = new Float64Array(FIRST_CAPACITY);
  #answeredAt = new Float64Array(FIRST_CAPACITY).fill(Number.NaN);
  #length = 0;

  /** How many probes were sent; the next one's sequence number. */
  get length(): number {
    return this.#length;
  }

  /** Notes that the next probe is sent; false when the bound is reached. */
  noteSent(timeMs: number): boolean {
    if (this.#length === MOST_PROBES) return false;
    if (this.#length === this.#sentAt.length) this.#grow();
    this.#sentAt[this.#length] = timeMs;
    this.#length += 1;
    return true;
  }

  /** Notes an answer; false when it is none that was waited for, or a second one. */
  noteAnswered(sequence: number, timeMs: number): boolean {
    if (!(sequence < this.#length) || !Number.isNaN(this.#answeredAt[sequence])) return false;
    this.#answeredAt[sequence] = timeMs;
    return true;
  }

  /** What was noted so far; valid until the next note. */
  view(): ProbeSeries {
    return {
      sentAt: this.#sentAt.subarray(0, this.#length),
      answeredAt: this.#answeredAt.subarray(0, this.#length),
    };
  }

  #grow(): void {
    const sentAt = new Float64Array(this.#sentAt.length * 2);
    const answeredAt = new Float64Array(sentAt.length).fill(Number.NaN);
    sentAt.set(this.#sentAt);
    answeredAt.set(this.#answeredAt);
    this.#sentAt = sentAt;
    this.#answeredAt = answeredAt;
  }
}
