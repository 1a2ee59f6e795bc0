import { GodwitError } from "../base/errors.ts";

/** Carries one command to the guest and its answer back, without understanding either. */
export interface GuestTransport {
  /** Resolves with the answer's line. @throws GodwitError `GODWIT_GUEST_SILENT`, or the signal's reason. */
  exchange(command: string, signal: AbortSignal): Promise<string>;
  close(): void;
}

/** Longer answers than the guest ever gives: 1400 bytes is its own limit. */
export const ANSWER_LIMIT_BYTES = 64 * 1024;

interface Waiter {
  resolve(line: string): void;
  reject(error: unknown): void;
}

/**
 * Commands that wait for their answers. Every command is sent with an id that its answer repeats, so that an
 * answer which comes too late, or was meant for a former connection, is not taken for another's.
 */
export class PendingAnswers {
  readonly #waiters = new Map<string, Waiter>();
  // Unique among all clients that ever talk to one guest, which remembers ids.
  readonly #prefix = crypto.randomUUID().slice(0, 8);
  #next = 1;

  newId(): string {
    return `${this.#prefix}-${this.#next++}`;
  }

  /** Resolves when {@link settle} sees the answer of that id; rejects when the signal aborts. */
  async wait(id: string, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiters.set(id, { resolve, reject });
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#waiters.delete(id);
    }
  }

  /** Takes a line from the guest; what nobody waits for is dropped. */
  settle(line: string): void {
    const id = /^\{"id":"([^"]*)"/.exec(line)?.[1];
    if (id !== undefined) this.#waiters.get(id)?.resolve(line);
  }

  /** Nothing will come any more. */
  fail(what: string, cause?: unknown): void {
    const error = new GodwitError("GODWIT_GUEST_SILENT", what, { cause });
    for (const waiter of this.#waiters.values()) waiter.reject(error);
  }
}
