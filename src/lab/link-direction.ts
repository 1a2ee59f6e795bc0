import { PreciseAlarm } from "./precise-alarm.ts";

/** What travels: bytes, or what else happens at the far end at its time (end of stream, a new connection …). */
interface Parcel {
  readonly dueAt: number;
  readonly amount: number;
  readonly deliver: () => void;
}

/**
 * One direction of a simulated link: parcels leave one after the other at the link's rate and arrive after its
 * latency, in order. It holds back everything while it is cut. Time is `performance.now()`.
 */
export class LinkDirection {
  latencyMs: number;
  /** Null: the link adds no time for the amount. */
  bytesPerSecond: number | null;
  #freeAt = 0;
  #heldBytes = 0;
  #cut = false;
  readonly #parcels: Parcel[] = [];
  #head = 0;
  readonly #alarm = new PreciseAlarm((now) => this.#deliverUntil(now));

  constructor(latencyMs: number, bytesPerSecond: number | null) {
    this.latencyMs = latencyMs;
    this.bytesPerSecond = bytesPerSecond;
  }

  /** Lets `amount` bytes travel; `deliver` is called at the far end. */
  send(amount: number, deliver: () => void): void {
    const now = performance.now();
    const transmitMs = this.bytesPerSecond === null ? 0 : (amount / this.bytesPerSecond) * 1000;
    this.#freeAt = Math.max(now, this.#freeAt) + transmitMs;
    const dueAt = this.#freeAt + this.latencyMs;
    if (dueAt <= now && this.#head === this.#parcels.length && !this.#cut) {
      deliver();
      return;
    }
    this.#parcels.push({ dueAt, amount, deliver });
    this.#heldBytes += amount;
    this.#arm();
  }

  /** Nothing arrives any more until {@link restore}; nothing is lost. */
  cut(): void {
    this.#cut = true;
    this.#alarm.clear();
  }

  /** What was held back arrives now, and the rest in its time. */
  restore(): void {
    this.#cut = false;
    this.#arm();
  }

  /** Forgets everything under way. */
  close(): void {
    this.#parcels.length = 0;
    this.#head = 0;
    this.#heldBytes = 0;
    this.#alarm.clear();
  }

  /** Bytes under way. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  #arm(): void {
    const next = this.#parcels[this.#head];
    if (next !== undefined && !this.#cut) this.#alarm.setAt(next.dueAt);
  }

  #deliverUntil(now: number): void {
    for (;;) {
      const next = this.#parcels[this.#head];
      if (next === undefined || next.dueAt > now || this.#cut) break;
      this.#head += 1;
      this.#heldBytes -= next.amount;
      next.deliver();
    }
    if (this.#head > 1024 && this.#head * 2 > this.#parcels.length) {
      this.#parcels.splice(0, this.#head);
      this.#head = 0;
    }
    this.#arm();
  }
}
