import type { z } from "zod";
import type { PciFunction } from "./pci.ts";
import type { GuestWrite, PhysicalMachine } from "./physical-machine.ts";
import type { Register } from "./registers.ts";

/**
 * A kind of device that is moved by what software can do with hardware alone. `Shadow` is what the monitor keeps of
 * it, `State` what crosses; both are plain data that JSON carries.
 */
export interface DeviceKind<Shadow = unknown, State = unknown> {
  /** Its word in `--ablate`, states and documents. */
  readonly name: string;
  readonly title: string;
  readonly registers: readonly Register[];
  readonly shadowSchema: z.ZodType<Shadow>;
  readonly stateSchema: z.ZodType<State>;
  /** The shadow of a machine that has just been switched on. */
  freshShadow(): Shadow;
  /** Notes what a write of the guest does to what can't be read. Writes to other devices change nothing. */
  observe(shadow: Shadow, write: GuestWrite, where: DeviceContext): void;
  /**
   * Reads everything out of a stopped machine. What reading disturbs is put right before it returns, except that the
   * device asks for no interrupt from then on where `undo` says so.
   * @param disturbs is told, before anything is changed and whenever it knows more, what `undo` needs if this is
   * broken off
   */
  capture(
    machine: PhysicalMachine,
    shadow: Shadow,
    where: DeviceContext,
    disturbs?: (state: State) => void,
  ): Promise<State>;
  /** Sets a device of a stopped machine to a state. @returns what could not be set, in words */
  restore(machine: PhysicalMachine, state: State, where: DeviceContext): Promise<readonly string[]>;
  /** Makes a stopped machine as it was before {@link capture}, be that complete or broken off anywhere. */
  undo(machine: PhysicalMachine, state: State, where: DeviceContext): Promise<void>;
  /** For PCI devices: whether a function is one of this kind. */
  matches?(fn: PciFunction): boolean;
  /** Steps that must come when all devices stand: the interrupt masks. */
  finish?(machine: PhysicalMachine, state: State, where: DeviceContext): Promise<void>;
}

/** Where a device of a machine is. */
export interface DeviceContext {
  /** The PCI function; null for devices at fixed places. */
  readonly pci: PciFunction | null;
}
