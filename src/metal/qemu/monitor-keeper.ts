import { asGodwitError } from "../../base/errors.ts";
import type { RunningMachine } from "../../qemu/running-machine.ts";
import { BareMetal, isLookedAt } from "./bare-metal.ts";
import { QemuPhysicalMachine } from "./qemu-machine.ts";

/** A busy guest writes some 10 MB of trace in this time. */
const INTERVAL_MS = 5_000;

/** Reads a physical machine's trace on for as long as it runs, so that a move finds little left and the file stays small. */
export class MonitorKeeper implements Disposable {
  readonly #machine: RunningMachine;
  readonly #timer: NodeJS.Timeout;
  #busy = false;
  #warned = false;

  private constructor(machine: RunningMachine) {
    this.#machine = machine;
    this.#timer = setInterval(() => void this.#look(), INTERVAL_MS).unref();
  }

  /** Begins; null for a machine that was not started as a physical one. */
  static start(machine: RunningMachine): MonitorKeeper | null {
    return QemuPhysicalMachine.allows(machine) ? new MonitorKeeper(machine) : null;
  }

  async #look(): Promise<void> {
    if (this.#busy || isLookedAt(this.#machine) || !this.#machine.runs) return;
    this.#busy = true;
    try {
      const { status } = await this.#machine.qmp.execute("query-status");
      // A machine on its way here or away is its migration's.
      if (status !== "running" && status !== "paused") return;
      const metal = new BareMetal(this.#machine);
      await metal.prepare();
      metal.close();
    } catch (thrown) {
      const { message } = asGodwitError(thrown, "GODWIT_METAL_ACCESS");
      if (!this.#warned && this.#machine.runs)
        process.emitWarning(`no monitor of "${this.#machine.name}": ${message}`);
      this.#warned = true;
    } finally {
      this.#busy = false;
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
