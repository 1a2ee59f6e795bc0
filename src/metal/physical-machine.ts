/** Bytes of one access to a port or a memory-mapped register. */
export type AccessBytes = 1 | 2 | 4;

/** One write of the guest's own software to a device, as the thin hypervisor sees it pass. */
export interface GuestWrite {
  readonly space: "port" | "memory";
  /** Port number, or guest-physical address. */
  readonly address: number;
  readonly value: number;
  readonly bytes: number;
}

/**
 * A machine as software that runs below its operating system sees it (BLMVisor's place): ports, memory-mapped
 * registers, PCI configuration, memory, and the power to hold its processors. Nothing here knows a device's inner
 * state, and nothing asks the machine for it.
 *
 * Accesses are made in the order of the calls, whether or not the answers are waited for in between: those whose answers
 * nobody needs yet may be asked for together, which on a slow way to the machine costs a fraction.
 *
 * An adapter is one file: a QEMU (`qemu/qemu-machine.ts`), real hardware (`host-machine.ts`), a model for tests
 * (`model/model-machine.ts`). All errors are GodwitErrors with `GODWIT_METAL_ACCESS`.
 */
export interface PhysicalMachine {
  /** Reads a port. */
  readPort(port: number, bytes?: AccessBytes): Promise<number>;
  writePort(port: number, value: number, bytes?: AccessBytes): Promise<void>;
  /** Reads a memory-mapped register, with an access of just that size. */
  readRegister(address: number, bytes?: AccessBytes): Promise<number>;
  writeRegister(address: number, value: number, bytes?: AccessBytes): Promise<void>;
  /** Guest memory, a copy. */
  readMemory(address: number, bytes: number): Promise<Buffer>;
  /** Writes guest memory so that whoever tracks dirty pages learns of it, as of a device's own access. */
  writeMemory(address: number, bytes: Uint8Array): Promise<void>;
  /** Holds all processors; returns when none runs any more. */
  stop(): Promise<void>;
  /** Lets them run. */
  go(): Promise<void>;
  /**
   * Every write that the guest made since the last call, in order. Of a stopped machine the list is complete: the
   * adapter proves that, or throws `GODWIT_METAL_TRACE`.
   */
  guestWrites(): Promise<readonly GuestWrite[]>;
}
