import type { Ledger } from "../ledger.ts";
import { GATE_OPEN, READ_BYTES, roomBytes } from "./feed-gate.ts";

/** How far the hold has come. */
type Stage = "listing" | "held" | "refresh" | "rounds";

/**
 * Passes after which the pages that the guest writes to are known: the first names every page, the second those
 * written meanwhile; the third has begun when the second is complete.
 */
const LISTING_PASSES = 3;

/** A QEMU with nothing more to list writes empty sections for ever; so many readings without a page mean that. */
const EMPTY_READINGS = 32;

/** A reading holds hundreds of syncs of a guest that writes little; so few pages in it are not worth the next at once. */
const FEW_RECORDS = 128;

/**
 * The hold on a QEMU that stops only when told (capability `switchover-ack`, QEMU 8.1): it can be read past its
 * first pass, so that pages being written are known before they are sent for the first time.
 *
 * 1. **listing**: everything and then what was dirtied meanwhile is read at full speed.
 * 2. **held**: while pages wait that were never dirtied again, QEMU's stream is left unread, and it syncs nothing.
 * 3. **refresh**: then QEMU looks once more at what is dirty, which is owed already and so costs nothing; without
 *    that, it would list pages as dirty that are sent only now.
 * 4. **rounds**: from here on reading follows the backlog under the gate.
 */
export class AcknowledgedHold {
  #stage: Stage = "listing";
  #untilPasses = LISTING_PASSES;
  #seenRecords = 0;
  #emptyReadings = 0;
  #broughtFew = false;

  /** How much of QEMU's stream may be read now, with the pages that wait at most in `gatePages`. */
  allowedBytes(ledger: Ledger | null, gatePages: number): number {
    if (gatePages === GATE_OPEN || ledger === null) return READ_BYTES;
    if (this.#stage === "listing" && this.#isListed(ledger)) this.#stage = "held";
    if (this.#stage === "held" && ledger.owedColdPages(gatePages) <= gatePages) {
      this.#stage = "refresh";
      this.#untilPasses = ledger.passes + 2;
      this.#emptyReadings = 0;
    }
    if (this.#stage === "refresh" && this.#isListed(ledger)) this.#stage = "rounds";
    if (this.#stage === "held") return 0;
    return this.#stage === "rounds" ? roomBytes(ledger, gatePages) : READ_BYTES;
  }

  /** The stream was read as far as allowed. */
  didRead(ledger: Ledger | null): void {
    const records = ledger?.listedRecords ?? 0;
    this.#broughtFew = records - this.#seenRecords < FEW_RECORDS;
    this.#emptyReadings = records === this.#seenRecords ? this.#emptyReadings + 1 : 0;
    this.#seenRecords = records;
  }

  /**
   * QEMU has next to nothing to list, and would go on syncing thousands of times a second to say so, each time with
   * the few pages that the guest writes all the time: it writes until its socket is full, then waits to be read.
   */
  get mayRest(): boolean {
    return this.#stage === "rounds" && this.#broughtFew;
  }

  /** QEMU has looked again since it was held, and is read as far as pages leave. */
  get hasLookedAgain(): boolean {
    return this.#stage === "rounds";
  }

  #isListed(ledger: Ledger): boolean {
    if (ledger.passes >= this.#untilPasses) return true;
    return this.#emptyReadings >= EMPTY_READINGS && ledger.listedPages() === ledger.totalPages;
  }
}
