import type { Socket } from "node:net";
import { GodwitError } from "../../base/errors.ts";
import { waiting } from "../../base/waiting.ts";
import type { FreePageLook } from "../data/free-page-looks.ts";
import type {
  ConnectionTotals,
  SourceCommand,
  SourceCounters,
  SourceNotice,
} from "../data/source-protocol.ts";
import { type DataProcess, spawnDataProcess } from "../data/spawn.ts";

type Head = Extract<SourceNotice, { type: "head" }>;
type ResumeSet = Extract<SourceNotice, { type: "resume-set-complete" }>;
type Remainder = Extract<SourceNotice, { type: "remainder-complete" }>;
type DeviceStateNotice = Extract<SourceNotice, { type: "device-state" }>;

/** The source's data process as promises: what it has told, and what it will tell. */
export class SourceData {
  readonly #process: DataProcess<SourceCommand, SourceNotice>;
  readonly #listening = Promise.withResolvers<readonly number[]>();
  readonly #connected = Promise.withResolvers<void>();
  readonly #head = Promise.withResolvers<Head>();
  readonly #deviceState = Promise.withResolvers<DeviceStateNotice>();
  readonly #streamEnded = Promise.withResolvers<void>();
  readonly #pagesComplete = Promise.withResolvers<readonly ConnectionTotals[]>();
  readonly #resumeSet = Promise.withResolvers<ResumeSet>();
  readonly #remainder = Promise.withResolvers<Remainder>();
  readonly #looksSettled = Promise.withResolvers<void>();
  #counters: SourceCounters | null = null;
  #onCounters: (counters: SourceCounters) => void = () => {};
  #onLook: (look: FreePageLook) => void = () => {};
  #onLooksGaveUp: (error: GodwitError) => void = () => {};
  #onOutrun: (isOutrun: boolean) => void = () => {};

  /** @param failed called once when the process fails or dies of itself; waits end by their signal */
  constructor(qemuSocket: Socket, failed: (error: GodwitError) => void) {
    this.#process = spawnDataProcess<SourceCommand, SourceNotice>("source", "source-process.ts", qemuSocket);
    this.#follow().catch(failed);
  }

  /** The newest counters, null before the first page was listed. */
  get counters(): SourceCounters | null {
    return this.#counters;
  }

  send(command: SourceCommand): void {
    this.#process.send(command);
  }

  /** The ports of the bulk listeners, in the order of the connections. */
  listening(signal: AbortSignal): Promise<readonly number[]> {
    return this.#until(this.#listening.promise, signal);
  }

  /** Every bulk connection stands. */
  connected(signal: AbortSignal): Promise<void> {
    return this.#until(this.#connected.promise, signal);
  }

  /** What QEMU's stream says before the first page. */
  head(signal: AbortSignal): Promise<Head> {
    return this.#until(this.#head.promise, signal);
  }

  /** QEMU's device sections; comes when QEMU has stopped the guest. Not checked before {@link streamEnded}. */
  deviceState(signal: AbortSignal): Promise<DeviceStateNotice> {
    return this.#until(this.#deviceState.promise, signal);
  }

  /** QEMU has finished, its stream was whole and the device state is what {@link deviceState} gave. */
  streamEnded(signal: AbortSignal): Promise<void> {
    return this.#until(this.#streamEnded.promise, signal);
  }

  /** Everything that QEMU listed has left. */
  pagesComplete(signal: AbortSignal): Promise<readonly ConnectionTotals[]> {
    return this.#until(this.#pagesComplete.promise, signal);
  }

  /** The resume set has left: what is stale at the destination, and what it lacks. */
  resumeSetComplete(signal: AbortSignal): Promise<ResumeSet> {
    return this.#until(this.#resumeSet.promise, signal);
  }

  /** Nothing is owed any more. */
  remainderComplete(signal: AbortSignal): Promise<Remainder> {
    return this.#until(this.#remainder.promise, signal);
  }

  /** Nothing waits any more for what the guest says of its free pages. Never, where it isn't asked. */
  looksSettled(signal: AbortSignal): Promise<void> {
    return this.#until(this.#looksSettled.promise, signal);
  }

  /** Calls back with each look for free pages, and when there will be no more for a reason. */
  onLooks(looked: (look: FreePageLook) => void, gaveUp: (error: GodwitError) => void): void {
    this.#onLook = looked;
    this.#onLooksGaveUp = gaveUp;
  }

  /** Calls back when the guest at the destination begins to outrun push, and when it ends to. */
  onOutrun(listener: (isOutrun: boolean) => void): void {
    this.#onOutrun = listener;
  }

  /** Calls back with each new set of counters. */
  onCounters(listener: (counters: SourceCounters) => void): void {
    this.#onCounters = listener;
  }

  /** Ends the process; nothing it holds is worth keeping. QEMU sees its socket close. */
  kill(): Promise<void> {
    return this.#process.kill();
  }

  async #follow(): Promise<void> {
    for await (const notice of this.#process.notices()) {
      if (notice.type === "listening") this.#listening.resolve(notice.ports);
      else if (notice.type === "connected") this.#connected.resolve();
      else if (notice.type === "head") this.#head.resolve(notice);
      else if (notice.type === "device-state") this.#deviceState.resolve(notice);
      else if (notice.type === "stream-ended") this.#streamEnded.resolve();
      else if (notice.type === "pages-complete") this.#pagesComplete.resolve(notice.totals);
      else if (notice.type === "resume-set-complete") this.#resumeSet.resolve(notice);
      else if (notice.type === "remainder-complete") this.#remainder.resolve(notice);
      else if (notice.type === "looked") this.#onLook(notice.look);
      else if (notice.type === "looks-settled") this.#looksSettled.resolve();
      else if (notice.type === "looks-gave-up") this.#onLooksGaveUp(GodwitError.fromRecord(notice.error));
      else if (notice.type === "outrun") this.#onOutrun(notice.on);
      else if (notice.type === "counters") {
        this.#counters = notice.counters;
        this.#onCounters(notice.counters);
      } else throw GodwitError.fromRecord(notice.error).with({ side: "source" });
    }
  }

  #until<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
    return waiting(promise, { signal }, () => new GodwitError("GODWIT_TIMEOUT", "waited too long"));
  }
}
