import type { Worker } from "node:worker_threads";
import { GodwitError } from "../../base/errors.ts";
import { type WaitOptions, waiting } from "../../base/waiting.ts";
import type { FreePageLister, FreePagesAnswer, FreePagesRequest } from "../../hints/index.ts";
import type { HeldLocksInput, HeldLocksNotice, HeldLocksTask } from "./held-locks-thread.ts";
import { startThread, type ThreadFailure } from "./threads.ts";

/**
 * Asks a guest for free pages by its doorbell from a thread that does nothing else: while the guest holds its locks it
 * stands still, and must not wait for an event loop that deals pages.
 */
export class HeldLocksLister implements FreePageLister {
  receivedBytes = 0;
  readonly #worker: Worker;
  #pending: PromiseWithResolvers<FreePagesAnswer> | null = null;

  constructor(pid: number, pageCount: number) {
    const input: HeldLocksInput = { pid, pageCount };
    const hears = (notice: HeldLocksNotice | ThreadFailure) => this.#hears(notice);
    this.#worker = startThread<HeldLocksNotice>("./held-locks-thread.ts", input, hears);
  }

  /**
   * One question at a time.
   * @throws GodwitError `GODWIT_DOORBELL`, `GODWIT_HELPER_…`, `GODWIT_LOCKS_RELEASED`, `GODWIT_ABORTED`
   */
  freePages(request: FreePagesRequest, { timeoutMs, signal }: WaitOptions = {}): Promise<FreePagesAnswer> {
    const pending = Promise.withResolvers<FreePagesAnswer>();
    this.#pending = pending;
    this.#worker.postMessage({ type: "ask", request, timeoutMs } satisfies HeldLocksTask);
    // The thread keeps the time itself.
    return waiting(pending.promise, { signal }, () => new GodwitError("GODWIT_HELPER_SILENT", "no answer"));
  }

  close(): void {
    this.#worker.postMessage({ type: "end" } satisfies HeldLocksTask);
    this.#worker.unref();
    this.#pending?.reject(new GodwitError("GODWIT_ABORTED", "the doorbell was closed"));
  }

  #hears(notice: HeldLocksNotice | ThreadFailure): void {
    if (notice.type === "answer") {
      this.receivedBytes = notice.receivedBytes;
      this.#pending?.resolve(notice.answer);
    } else this.#pending?.reject(GodwitError.fromRecord(notice.error));
  }
}
