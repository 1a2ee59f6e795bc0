import type { WaitOptions } from "../base/waiting.ts";
import type { FreePagesAnswer, FreePagesRequest } from "./protocol.ts";

/** Whoever can be asked which pages of a guest are free. */
export interface FreePageLister {
  /** Bytes that came from the guest so far. */
  readonly receivedBytes: number;
  /**
   * Lists free pages as they are after this call began. Ends with an answer that was checked or with a typed error,
   * whatever the guest does.
   */
  freePages(request: FreePagesRequest, options?: WaitOptions): Promise<FreePagesAnswer>;
  /** Ends it; what waits fails. */
  close(): void;
}
