const UNLOCKED = 0;
const LOCKED = 1;
const CONTENDED = 2;

/**
 * A lock between threads, for sections of QEMU's incoming stream that must not mix. Waiting blocks the thread, so it
 * is for worker threads and short holds.
 */
export class WriteLock {
  readonly buffer: SharedArrayBuffer;
  readonly #state: Int32Array;

  constructor(shared?: SharedArrayBuffer) {
    this.buffer = shared ?? new SharedArrayBuffer(4);
    this.#state = new Int32Array(this.buffer);
  }

  /** Runs `work` while no other thread runs work of its own under the same lock. */
  run<Result>(work: () => Result): Result {
    if (Atomics.compareExchange(this.#state, 0, UNLOCKED, LOCKED) !== UNLOCKED) {
      while (Atomics.exchange(this.#state, 0, CONTENDED) !== UNLOCKED)
        Atomics.wait(this.#state, 0, CONTENDED);
    }
    try {
      return work();
    } finally {
      if (Atomics.exchange(this.#state, 0, UNLOCKED) === CONTENDED) Atomics.notify(this.#state, 0, 1);
    }
  }
}
