import { asGodwitError, type GodwitError } from "./errors.ts";

/** How long and until when to wait. */
export interface WaitOptions {
  /** Ends the wait with `GODWIT_ABORTED`, or with the signal's reason where that is a GodwitError. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; absent or `Infinity` waits for ever. */
  readonly timeoutMs?: number | undefined;
}

/** `setTimeout` fires at once beyond this; nobody waits 24 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Waits for a promise no longer than `options` allow; `late` makes the error of a time-out. */
export function waiting<Value>(
  promise: Promise<Value>,
  options: WaitOptions,
  late: () => GodwitError,
): Promise<Value> {
  const { signal, timeoutMs = Number.POSITIVE_INFINITY } = options;
  if (signal === undefined && timeoutMs === Number.POSITIVE_INFINITY) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => settle(() => reject(abortError(signal)));
    const timer =
      timeoutMs <= LONGEST_TIMER_MS ? setTimeout(() => settle(() => reject(late())), timeoutMs) : undefined;
    const settle = (action: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      action();
    };
    if (signal?.aborted === true) return onAbort();
    signal?.addEventListener("abort", onAbort);
    promise.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
  });
}

/** The error of an aborted wait: the signal's reason where it is ours, otherwise `GODWIT_ABORTED`. */
export function abortError(signal: AbortSignal | undefined): GodwitError {
  return asGodwitError(signal?.reason, "GODWIT_ABORTED");
}
