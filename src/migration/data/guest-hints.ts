import { type FreePageLister, GuestHelper, guestPageCount, HeldLocks } from "../../hints/index.ts";
import type { PageBitmap } from "../../pages/index.ts";
import { takeDoorbell } from "../../qemu/doorbell.ts";
import type { Ledger } from "../ledger.ts";
import { FreePageLooks, type HintsInput, type LookEffects, type LookMoment } from "./free-page-looks.ts";
import type { WorkingSetReport } from "./source-protocol.ts";
import { type WorkingSetBlock, WorkingSetLooks } from "./working-set.ts";
import { lackingOf, worthOf } from "./working-set-worth.ts";

/** The helper may still be busy with what it was asked in the preflight, and answers one after the other. */
const CONNECT_TIMEOUT_MS = 6_000;

/** All that a guest tells the data process of a migration's source: its helper, or its driver by the doorbell. */
export class GuestHints {
  readonly #helper: Promise<GuestHelper> | null;
  readonly #locks: Promise<HeldLocks> | null;
  readonly #looks: FreePageLooks | null;
  readonly #workingSet: WorkingSetLooks | null;
  #lacking: readonly PageBitmap[] | null = null;

  constructor({ path, doorbellPid, pieces, freePages, workingSet }: HintsInput, effects: LookEffects) {
    const pageCount = guestPageCount(pieces);
    this.#helper =
      path === null ? null : GuestHelper.connect(path, pageCount, { timeoutMs: CONNECT_TIMEOUT_MS });
    this.#locks = doorbellPid === null ? null : openHeldLocks(doorbellPid, pageCount);
    const lister: Promise<FreePageLister> | null = this.#locks ?? this.#helper;
    // Those who ask it hear why it isn't there.
    for (const opened of [this.#helper, this.#locks]) opened?.catch(() => {});
    const first = freePages;
    this.#looks =
      first === null || lister === null ? null : new FreePageLooks(lister, { first, pieces }, effects);
    this.#workingSet = workingSet && this.#helper !== null ? new WorkingSetLooks(this.#helper, pieces) : null;
  }

  /** The pages that it is about; nothing of them has left yet. */
  attach(ledger: Ledger): void {
    this.#looks?.attach(ledger);
  }

  /** Asks for free pages if it is time to. */
  tick(moment: LookMoment): void {
    this.#looks?.tick(moment);
  }

  /** The guest stands still, or its pages go in another order: it is asked nothing more. */
  end(): void {
    this.#looks?.end();
    this.#workingSet?.end();
    for (const opened of [this.#helper, this.#locks]) {
      opened?.then(
        (open) => open.close(),
        () => {},
      );
    }
  }

  /** Which pages the guest works with; null where it did not say. */
  get workingSet(): readonly WorkingSetBlock[] | null {
    return this.#workingSet?.set ?? null;
  }

  /** The resume set is chosen: what of the working set the destination lacks then is what it is measured by. */
  resumesWith(ledger: Ledger, resumeSet: readonly PageBitmap[]): void {
    if (this.workingSet !== null) this.#lacking = lackingOf(ledger, this.workingSet, resumeSet);
  }

  /** What was known of the working set, and what that was worth; null where nothing was. */
  workingSetReport(ledger: Ledger): WorkingSetReport | null {
    const figures = this.#workingSet?.figures ?? null;
    if (figures === null || this.workingSet === null || this.#lacking === null) return null;
    return { ...figures, ...worthOf(ledger, this.workingSet, this.#lacking) };
  }
}

/**
 * Opens a running machine's doorbell to ask its guest for free pages.
 * @throws GodwitError `GODWIT_DOORBELL`, `GODWIT_HELPER_REFUSED`
 */
export async function openHeldLocks(pid: number, pageCount: number): Promise<HeldLocks> {
  const doorbell = await takeDoorbell(pid);
  try {
    return new HeldLocks(doorbell, pageCount);
  } catch (error) {
    doorbell[Symbol.dispose]();
    throw error;
  }
}
