import { GodwitError } from "../../base/errors.ts";
import type { Message } from "../messages/index.ts";

interface Waiter {
  resolve(message: Message): void;
  reject(error: GodwitError): void;
}

/**
 * Messages that have arrived and not been taken yet, strictly in order, for one taker at a time. After
 * {@link end} what is left can still be taken, then every take fails with the reason.
 */
export class Inbox {
  readonly #messages: Message[] = [];
  readonly #onTaken: () => void;
  #waiter: Waiter | undefined;
  #ended: GodwitError | undefined;

  /** @param onTaken called after each message that left, so that the owner can read on */
  constructor(onTaken: () => void) {
    this.#onTaken = onTaken;
  }

  get length(): number {
    return this.#messages.length;
  }

  put(message: Message): void {
    const waiter = this.#waiter;
    if (waiter === undefined) {
      this.#messages.push(message);
      return;
    }
    this.#waiter = undefined;
    waiter.resolve(message);
  }

  /** Fails the waiting take and all that find the box empty. Only the first reason counts. */
  end(reason: GodwitError): void {
    this.#ended ??= reason;
    this.#waiter?.reject(this.#ended);
    this.#waiter = undefined;
  }

  /**
   * The next message.
   * @throws GodwitError the reason of {@link end}; `GODWIT_TIMEOUT`; `GODWIT_CANCELLED` for the signal
   */
  take(waiting: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined } = {}): Promise<Message> {
    const message = this.#messages.shift();
    if (message !== undefined) {
      this.#onTaken();
      return Promise.resolve(message);
    }
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#waiter !== undefined) {
      return Promise.reject(new GodwitError("GODWIT_WIRE_BUSY", "someone else already waits for a message"));
    }
    const { signal, timeoutMs } = waiting;
    if (signal?.aborted) return Promise.reject(cancelled(signal));
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter = {
        resolve: (taken) => {
          settle();
          resolve(taken);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const leave = (error: GodwitError) => {
        if (this.#waiter === waiter) this.#waiter = undefined;
        waiter.reject(error);
      };
      const onAbort = () => leave(cancelled(signal as AbortSignal));
      signal?.addEventListener("abort", onAbort, { once: true });
      if (timeoutMs !== undefined) {
        timer = setTimeout(
          () => leave(new GodwitError("GODWIT_TIMEOUT", `no message from the peer within ${timeoutMs} ms`)),
          timeoutMs,
        );
      }
      this.#waiter = waiter;
    });
  }
}

function cancelled(signal: AbortSignal): GodwitError {
  if (signal.reason instanceof GodwitError) return signal.reason;
  return new GodwitError("GODWIT_CANCELLED", "the wait was cancelled", { cause: signal.reason });
}
