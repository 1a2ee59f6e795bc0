import type { Socket } from "node:net";
import { GodwitError } from "../../base/errors.ts";
import { waiting } from "../../base/waiting.ts";
import type {
  DestinationCommand,
  DestinationCounters,
  DestinationNotice,
} from "../data/destination-protocol.ts";
import type { FaultFigures } from "../data/fault-latency.ts";
import { type DataProcess, spawnDataProcess } from "../data/spawn.ts";

/** The destination's data process as promises. */
export class DestinationData {
  readonly #process: DataProcess<DestinationCommand, DestinationNotice>;
  readonly #connected = Promise.withResolvers<void>();
  readonly #pagesComplete = Promise.withResolvers<number>();
  readonly #written = Promise.withResolvers<void>();
  readonly #loaded = Promise.withResolvers<void>();
  readonly #remainder = Promise.withResolvers<FaultFigures>();
  #counters: DestinationCounters = { placedPages: 0, placedZeroPages: 0, receivedBytes: 0, cpuSeconds: 0 };

  /**
   * @param connections how many bulk connections there will be
   * @param postcopy the guest may resume without all of its pages: one more connection, for what QEMU asks for
   * @param failed called once when the process fails or dies of itself; waits end by their signal
   */
  constructor(
    qemuSocket: Socket,
    connections: number,
    postcopy: boolean,
    failed: (error: GodwitError) => void,
  ) {
    this.#process = spawnDataProcess("destination", "destination-process.ts", qemuSocket);
    this.#process.send({ type: "warm-up", connections, postcopy });
    this.#follow().catch(failed);
  }

  /** The newest counters. */
  get counters(): DestinationCounters {
    return this.#counters;
  }

  send(command: DestinationCommand): void {
    this.#process.send(command);
  }

  /** Every bulk connection stands. */
  connected(signal: AbortSignal): Promise<void> {
    return this.#until(this.#connected.promise, signal);
  }

  /** Every page is written to QEMU; gives the time, in milliseconds since the epoch. */
  pagesComplete(signal: AbortSignal): Promise<number> {
    return this.#until(this.#pagesComplete.promise, signal);
  }

  /** QEMU has been given the end of its stream. */
  written(signal: AbortSignal): Promise<void> {
    return this.#until(this.#written.promise, signal);
  }

  /** QEMU has loaded the device state of a post-copy package. */
  loaded(signal: AbortSignal): Promise<void> {
    return this.#until(this.#loaded.promise, signal);
  }

  /** QEMU has all pages and has ended its post-copy. */
  remainderComplete(signal: AbortSignal): Promise<FaultFigures> {
    return this.#until(this.#remainder.promise, signal);
  }

  /** Ends the process; QEMU sees its socket close. */
  kill(): Promise<void> {
    return this.#process.kill();
  }

  async #follow(): Promise<void> {
    for await (const notice of this.#process.notices()) {
      if (notice.type === "connected") this.#connected.resolve();
      else if (notice.type === "pages-complete") this.#pagesComplete.resolve(notice.atEpochMs);
      else if (notice.type === "written") this.#written.resolve();
      else if (notice.type === "loaded") this.#loaded.resolve();
      else if (notice.type === "remainder-complete") this.#remainder.resolve(notice.faults);
      else if (notice.type === "progress") this.#counters = notice.counters;
      else throw GodwitError.fromRecord(notice.error).with({ side: "destination" });
    }
  }

  #until<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
    return waiting(promise, { signal }, () => new GodwitError("GODWIT_TIMEOUT", "waited too long"));
  }
}
