import type { Worker } from "node:worker_threads";
import type { ErrorRecord } from "../../base/errors.ts";
import { BATCH_PAGES } from "../scheduler.ts";
import type { CollectedBatch } from "./content-collector.ts";
import { SendWindow } from "./send-window.ts";
import type { SenderInput, SenderNotice, SenderTask } from "./sender-thread.ts";
import type { ConnectionTotals } from "./source-protocol.ts";
import { startThread } from "./threads.ts";

/** A task that gives a sender pages. */
export type BatchTask = Extract<SenderTask, { pages: number }>;

interface Sender {
  readonly worker: Worker;
  readonly window: SendWindow;
  /** Stream contents for this connection that wait for their turn. */
  readonly collected: CollectedBatch[];
  bytesOnWire: number;
  zeroPages: number;
  differencePages: number;
  totals: ConnectionTotals | null;
}

/** What the senders tell the scheduler's thread. */
export interface BulkSenderEffects {
  readonly listening: (connection: number, port: number) => void;
  readonly connected: () => void;
  /** So many pages more are placed at the destination. */
  readonly placed: (pages: number) => void;
  /** Every sender has told its totals up to the end of a set. */
  readonly setComplete: () => void;
  readonly failed: (error: ErrorRecord) => void;
}

/** The sender threads of a migration's source, one a bulk connection, and how much each may have under way. */
export class BulkSenders {
  readonly #senders: Sender[] = [];
  readonly #effects: BulkSenderEffects;

  constructor(effects: BulkSenderEffects) {
    this.#effects = effects;
  }

  /** Starts the threads, one for each input, in the order of their connections. */
  start(inputs: readonly SenderInput[]): void {
    for (const [connection, input] of inputs.entries()) {
      const worker = startThread<SenderNotice>("./sender-thread.ts", input, (notice) =>
        this.#senderSays(connection, notice),
      );
      this.#senders.push({
        worker,
        window: new SendWindow(BATCH_PAGES),
        collected: [],
        bytesOnWire: 0,
        zeroPages: 0,
        differencePages: 0,
        totals: null,
      });
    }
  }

  get count(): number {
    return this.#senders.length;
  }

  /** Tells every thread the same. */
  tellAll(task: SenderTask): void {
    for (const { worker } of this.#senders) worker.postMessage(task);
  }

  /** Keeps stream contents for {@link nextCollected} of their connection. */
  collect(batch: CollectedBatch): void {
    this.#senders[batch.connection]!.collected.push(batch);
  }

  /** The oldest stream contents that wait for a connection, or null. */
  nextCollected(connection: number): BatchTask | null {
    const collected = this.#senders[connection]!.collected.shift();
    if (collected === undefined) return null;
    const { block, runs, pages, slot } = collected;
    return { type: "slot", block, runs, pages, slot };
  }

  /** Whether no stream contents wait. */
  get nothingCollected(): boolean {
    return this.#senders.every(({ collected }) => collected.length === 0);
  }

  /** Whether a connection may have more under way. */
  isOpen(connection: number): boolean {
    return this.#senders[connection]!.window.isOpen;
  }

  /** Gives a batch to a connection. */
  deal(connection: number, task: BatchTask): void {
    const { window, worker } = this.#senders[connection]!;
    window.dealt(task.pages, performance.now());
    worker.postMessage(task);
  }

  /** Batches are of so many pages from now on, and so the least that may be under way. */
  setBatchPages(pages: number): void {
    for (const { window } of this.#senders) window.setBatchPages(pages);
  }

  /** No page will be listed any more: see {@link SendWindow.widen}. */
  widen(): void {
    for (const { window } of this.#senders) window.widen();
  }

  /** What each connection carried up to the end of a set; null until all have told. */
  get totals(): readonly ConnectionTotals[] | null {
    const totals = this.#senders.flatMap((sender) => sender.totals ?? []);
    return totals.length === this.#senders.length ? totals : null;
  }

  /** Another set begins: its {@link totals} are still to come. */
  forgetTotals(): void {
    for (const sender of this.#senders) sender.totals = null;
  }

  get bytesOnWire(): number {
    return this.#senders.reduce((sum, sender) => sum + sender.bytesOnWire, 0);
  }

  /** Pages that were found to be zero when they were read. */
  get zeroPages(): number {
    return this.#senders.reduce((sum, sender) => sum + sender.zeroPages, 0);
  }

  /** Pages that travelled as differences. */
  get differencePages(): number {
    return this.#senders.reduce((sum, sender) => sum + sender.differencePages, 0);
  }

  #senderSays(connection: number, notice: SenderNotice | { type: "failed"; error: ErrorRecord }): void {
    const sender = this.#senders[connection]!;
    if (notice.type === "listening") this.#effects.listening(connection, notice.port);
    else if (notice.type === "connected") this.#effects.connected();
    else if (notice.type === "placed") {
      sender.window.placed(notice.batches, performance.now());
      sender.bytesOnWire = notice.bytesOnWire;
      sender.zeroPages = notice.zeroPages;
      sender.differencePages = notice.differencePages;
      this.#effects.placed(notice.pages);
    } else if (notice.type === "totals") {
      sender.totals = notice.totals;
      sender.bytesOnWire = notice.bytesOnWire;
      if (this.totals !== null) this.#effects.setComplete();
    } else this.#effects.failed(notice.error);
  }
}
