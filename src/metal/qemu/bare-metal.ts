import type { RunningMachine } from "../../qemu/running-machine.ts";
import { captureDevices, undoCapture } from "../capture.ts";
import { type DevicesState, decodeDevicesState, encodeDevicesState } from "../devices-state.ts";
import { describeDevices, devicesFrom, type PresentDevice, takeInventory } from "../inventory.ts";
import { Monitor } from "../monitor.ts";
import { type Ablation, rebuildDevices } from "../rebuild.ts";
import { endHold, isLeftHeld, whileHeld } from "./hold.ts";
import { forgetCapture, keepCapture, readKeptCapture } from "./kept-capture.ts";
import { keepMonitor, readKeptMonitor } from "./kept-monitor.ts";
import { QemuPhysicalMachine } from "./qemu-machine.ts";
import { sectionsOf } from "./sections.ts";

/**
 * The monitor reads on this often while memory moves: what is left to read when the guest stands still is part of the
 * pause.
 */
const FOLLOW_INTERVAL_MS = 20;

/** Who looks at a machine now, by its folder. */
const turns = new Map<string, Promise<void>>();

/** Whether somebody looks at a machine now. */
export function isLookedAt(machine: RunningMachine): boolean {
  return turns.has(machine.folder);
}

interface Open {
  readonly hardware: QemuPhysicalMachine;
  readonly devices: readonly PresentDevice[];
  readonly monitor: Monitor;
  readonly following: NodeJS.Timeout;
}

/** A machine that moves as bare metal: reads its devices for a migration, and puts them right if that fails. */
export class BareMetal {
  readonly #machine: RunningMachine;
  #open: Open | null = null;
  #captured: Promise<DevicesState> | null = null;
  #endTurn: () => void = () => {};

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
    await this.#takeTurn();
    const kept = readKeptMonitor(machine.folder);
    const hardware = await QemuPhysicalMachine.open(machine, kept?.traceOffset ?? 0).catch((error) => {
      this.#endTurn();
      throw error;
    });
    try {
      const devices = (kept === null ? null : devicesFrom(kept.devices)) ?? (await this.#lookAt(hardware));
      const monitor = new Monitor(devices, kept?.shadows);
      for (const write of await hardware.guestWrites()) monitor.observe(write);
      const follow = () => {
        for (const write of hardware.tracedWrites()) monitor.observe(write);
      };
      this.#open = { hardware, devices, monitor, following: setInterval(follow, FOLLOW_INTERVAL_MS) };
    } catch (error) {
      hardware[Symbol.dispose]();
      this.#endTurn();
      throw error;
    }
  }

  /** Holds the machine for the milliseconds that configuration cycles take. */
  async #lookAt(hardware: QemuPhysicalMachine): Promise<readonly PresentDevice[]> {
    return whileHeld(this.#machine, async () => {
      const devices = await takeInventory(hardware);
      await hardware.settle();
      return devices;
    });
  }

  /** QEMU serves one program on its qtest socket, and one at a time may keep the monitor. */
  async #takeTurn(): Promise<void> {
    const { folder } = this.#machine;
    const before = turns.get(folder);
    const turn = Promise.withResolvers<void>();
    turns.set(folder, turn.promise);
    this.#endTurn = () => {
      if (turns.get(folder) === turn.promise) turns.delete(folder);
      turn.resolve();
    };
    await before;
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
    const { hardware, devices, monitor, following } = this.#open!;
    clearInterval(following);
    const { folder } = this.#machine;
    this.#captured = captureDevices(hardware, devices, monitor, (state) => keepCapture(folder, state));
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
    forgetCapture(this.#machine.folder);
  }

  /** Keeps what the monitor knows with the machine, gives back the trace that it has read, and lets go. */
  close(): void {
    if (this.#open === null) return;
    const { hardware, devices, monitor, following } = this.#open;
    clearInterval(following);
    this.#open = null;
    const { traceOffset } = hardware;
    try {
      // A machine that has moved away takes what the monitor knew along.
      if (!this.#machine.runs) return;
      const record = { traceOffset, devices: describeDevices(devices), shadows: monitor.record() };
      keepMonitor(this.#machine.folder, record);
      hardware.forgetTrace(traceOffset);
    } finally {
      hardware[Symbol.dispose]();
      this.#endTurn();
    }
  }
}

/**
 * Undoes what an earlier agent read of a machine when it came to its end: the machine stands still, and its devices were
 * left quiet. Does nothing where there is nothing to undo.
 */
export async function undoLeftCapture(machine: RunningMachine): Promise<void> {
  const state = readKeptCapture(machine.folder);
  if (state === null || !QemuPhysicalMachine.allows(machine)) return;
  const hardware = await QemuPhysicalMachine.open(machine);
  try {
    await undoCapture(hardware, await takeInventory(hardware), state);
    await hardware.settle();
    forgetCapture(machine.folder);
  } finally {
    hardware[Symbol.dispose]();
  }
}

/** Lets a machine go on that an earlier agent held for a look at its devices when it came to its end. */
export async function letGoOfHeld(machine: RunningMachine): Promise<void> {
  if (!isLeftHeld(machine)) return;
  await undoLeftCapture(machine);
  await endHold(machine);
}

/** Reads the devices of a machine and lets it go on as it was. */
export async function captureOnce(machine: RunningMachine): Promise<DevicesState> {
  const metal = new BareMetal(machine);
  await metal.prepare();
  try {
    return await whileHeld(machine, async () => {
      const state = await metal.captureState();
      await metal.undo();
      return state;
    });
  } finally {
    metal.close();
  }
}

/** The other end of a move: gives a paused machine that has loaded everything else the devices that were read. */
export class BareMetalRebuild {
  readonly #machine: RunningMachine;
  readonly #leaveOut: ReadonlySet<Ablation>;
  readonly #opened: Promise<{ hardware: QemuPhysicalMachine; devices: readonly PresentDevice[] }>;

  /**
   * Begins at once to find out what the machine consists of, so that it is known when it is needed.
   * @param leaveOut for experiments
   */
  constructor(machine: RunningMachine, leaveOut: ReadonlySet<Ablation> = new Set()) {
    this.#machine = machine;
    this.#leaveOut = leaveOut;
    this.#opened = QemuPhysicalMachine.open(machine).then(async (hardware) => {
      return { hardware, devices: await takeInventory(hardware) };
    });
    this.#opened.catch(() => {});
  }

  /** Rebuilds the devices, and has the monitor go on with what the source's knew. */
  async rebuild(bytes: Uint8Array): Promise<void> {
    const state = decodeDevicesState(bytes);
    const { hardware, devices } = await this.#opened;
    await rebuildDevices(hardware, devices, state, this.#leaveOut);
    // What this machine's firmware did before is not the guest's: its writes begin here.
    await hardware.guestWrites();
    const { traceOffset } = hardware;
    const { shadows } = state;
    keepMonitor(this.#machine.folder, { traceOffset, devices: describeDevices(devices), shadows });
  }

  /** Lets go of the machine. */
  async close(): Promise<void> {
    const opened = await this.#opened.catch(() => null);
    opened?.hardware[Symbol.dispose]();
  }
}
