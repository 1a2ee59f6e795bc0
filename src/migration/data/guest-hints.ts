import { type FreePageLister, GuestHelper, guestPageCount } from "../../hints/index.ts";
import type { PageBitmap } from "../../pages/index.ts";
import type { Ledger } from "../ledger.ts";
import { FreePageLooks, type HintsInput, type LookEffects, type LookMoment } from "./free-page-looks.ts";
import { HeldLocksLister } from "./held-locks-lister.ts";
import { type KernelPagesBlock, KernelPagesLook } from "./kernel-pages.ts";
import type { WorkingSetReport } from "./source-protocol.ts";
import { type WorkingSetBlock, WorkingSetLooks } from "./working-set.ts";
import { lackingOf, worthOf } from "./working-set-worth.ts";

/** The helper may still be busy with what it was asked in the preflight, and answers one after the other. */
const CONNECT_TIMEOUT_MS = 6_000;

/** All that a guest tells the data process of a migration's source: its helper, or its driver by the doorbell. */
export class GuestHints {
  readonly #helper: Promise<GuestHelper> | null;
  readonly #locks: HeldLocksLister | null;
  readonly #looks: FreePageLooks | null;
  readonly #workingSet: WorkingSetLooks | null;
  readonly #kernelPages: KernelPagesLook | null;
  #lacking: readonly PageBitmap[] | null = null;

  constructor(
    { path, doorbellPid, pieces, freePages, workingSet, kernelPages }: HintsInput,
    effects: LookEffects,
  ) {
    const pageCount = guestPageCount(pieces);
    this.#helper =
      path === null ? null : GuestHelper.connect(path, pageCount, { timeoutMs: CONNECT_TIMEOUT_MS });
    this.#locks = doorbellPid === null ? null : new HeldLocksLister(doorbellPid, pageCount);
    const lister: Promise<FreePageLister> | null =
      this.#locks === null ? this.#helper : Promise.resolve(this.#locks);
    // Those who ask it hear why it isn't there.
    this.#helper?.catch(() => {});
    const first = freePages;
    this.#looks =
      first === null || lister === null ? null : new FreePageLooks(lister, { first, pieces }, effects);
    const helper = this.#helper;
    this.#kernelPages = kernelPages && helper !== null ? new KernelPagesLook(helper, pieces) : null;
    this.#workingSet = workingSet && helper !== null ? new WorkingSetLooks(helper, pieces) : null;
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
    this.#kernelPages?.end();
    this.#locks?.close();
    this.#helper?.then(
      (helper) => helper.close(),
      () => {},
    );
  }

  /** Which pages the guest works with; null where it did not say. */
  get workingSet(): readonly WorkingSetBlock[] | null {
    return this.#workingSet?.set ?? null;
  }

  /** Which pages are its kernel's, as far as it said; null where it did not. */
  get kernelPages(): readonly KernelPagesBlock[] | null {
    return this.#kernelPages?.pages ?? null;
  }

  /** The same once it has said all. */
  get allKernelPages(): readonly KernelPagesBlock[] | null {
    return this.#kernelPages?.isComplete === true ? this.#kernelPages.pages : null;
  }

  /** The resume set has left: what of the working set the destination lacks then is what it is measured by. */
  resumed(ledger: Ledger): void {
    if (this.workingSet !== null) this.#lacking = lackingOf(ledger, this.workingSet);
  }

  /** What was known of the working set, and what that was worth; null where nothing was. */
  workingSetReport(ledger: Ledger): WorkingSetReport | null {
    const figures = this.#workingSet?.figures ?? null;
    if (figures === null || this.workingSet === null || this.#lacking === null) return null;
    return { ...figures, ...worthOf(ledger, this.workingSet, this.#lacking) };
  }
}
