import type { RunningMachine } from "../../qemu/running-machine.ts";
import { captureDevices, undoCapture } from "../capture.ts";
import { type DevicesState, decodeDevicesState, encodeDevicesState } from "../devices-state.ts";
import { type PresentDevice, takeInventory } from "../inventory.ts";
import { Monitor } from "../monitor.ts";
import { type Ablation, rebuildDevices } from "../rebuild.ts";
import { keepMonitor, readKeptMonitor } from "./kept-monitor.ts";
import { QemuPhysicalMachine } from "./qemu-machine.ts";
import { sectionsOf } from "./sections.ts";

interface Open {
  readonly hardware: QemuPhysicalMachine;
  readonly devices: readonly PresentDevice[];
  readonly monitor: Monitor;
}

/** A machine that moves as bare metal: reads its devices for a migration, and puts them right if that fails. */
export class BareMetal {
  readonly #machine: RunningMachine;
  #open: Open | null = null;
  #captured: Promise<DevicesState> | null = null;

  constructor(machine: RunningMachine) {
    this.#machine = machine;
  }

  /**
   * Finds out what the machine consists of, for which it is held for some milliseconds, and catches up with what the
   * guest has written since the monitor looked last.
   * @throws GodwitError `GODWIT_METAL_MACHINE`, `GODWIT_METAL_UNKNOWN_DEVICE`, `GODWIT_METAL_ACCESS`
   */
  async prepare(): Promise<void> {
    const machine = this.#machine;
    const kept = readKeptMonitor(machine.folder);
    const hardware = await QemuPhysicalMachine.open(machine, kept?.traceOffset ?? 0);
    try {
      const { running } = await machine.qmp.execute("query-status");
      if (running) await hardware.stop();
      const devices = await takeInventory(hardware).finally(() => (running ? hardware.go() : undefined));
      const monitor = new Monitor(devices, kept?.shadows);
      for (const write of await hardware.guestWrites()) monitor.observe(write);
      this.#open = { hardware, devices, monitor };
    } catch (error) {
      hardware[Symbol.dispose]();
      throw error;
    }
  }

  /** What the machine consists of; known after {@link prepare}. */
  get devices(): readonly PresentDevice[] {
    return this.#open?.devices ?? [];
  }

  /** QEMU's device sections that stay behind; known after {@link prepare}. */
  get sections(): readonly string[] {
    return sectionsOf(this.devices);
  }

  /** Reads the devices of the stopped machine. */
  async capture(): Promise<Uint8Array> {
    return encodeDevicesState(await this.captureState());
  }

  /** The same, as data. */
  async captureState(): Promise<DevicesState> {
    const { hardware, devices, monitor } = this.#open!;
    this.#captured = captureDevices(hardware, devices, monitor);
    return this.#captured;
  }

  /** Makes the stopped machine as it was before {@link capture}. */
  async undo(): Promise<void> {
    // One that is under way would silence the devices behind us; one that failed has undone itself.
    const captured = await this.#captured?.catch(() => null);
    this.#captured = null;
    if (captured == null || this.#open === null) return;
    await undoCapture(this.#open.hardware, this.#open.devices, captured);
    await this.#open.hardware.settle();
  }

  /** Keeps what the monitor knows with the machine, gives back the trace that it has read, and lets go. */
  close(): void {
    if (this.#open === null) return;
    const { hardware, monitor } = this.#open;
    this.#open = null;
    const { traceOffset } = hardware;
    try {
      // A machine that has moved away takes what the monitor knew along.
      if (!this.#machine.runs) return;
      keepMonitor(this.#machine.folder, { traceOffset, shadows: monitor.record() });
      hardware.forgetTrace(traceOffset);
    } finally {
      hardware[Symbol.dispose]();
    }
  }
}

/** Reads the devices of a machine and lets it go on as it was. */
export async function captureOnce(machine: RunningMachine): Promise<DevicesState> {
  const metal = new BareMetal(machine);
  await metal.prepare();
  try {
    const { running } = await machine.qmp.execute("query-status");
    if (running) await machine.qmp.execute("stop");
    try {
      const state = await metal.captureState();
      await metal.undo();
      return state;
    } finally {
      if (running) await machine.qmp.execute("cont");
    }
  } finally {
    metal.close();
  }
}

/**
 * The other end: gives a paused machine that has loaded everything else the devices that were read, and has its
 * monitor go on with what the source's knew.
 * @param leaveOut for experiments
 */
export function rebuildBareMetal(
  machine: RunningMachine,
  leaveOut: ReadonlySet<Ablation> = new Set(),
): (state: Uint8Array) => Promise<void> {
  return async (bytes) => {
    const state = decodeDevicesState(bytes);
    const hardware = await QemuPhysicalMachine.open(machine);
    try {
      const devices = await takeInventory(hardware);
      await rebuildDevices(hardware, devices, state, leaveOut);
      // Whatever this machine's firmware never did is not the guest's: its writes begin here.
      await hardware.guestWrites();
      keepMonitor(machine.folder, { traceOffset: hardware.traceOffset, shadows: state.shadows });
    } finally {
      hardware[Symbol.dispose]();
    }
  };
}
