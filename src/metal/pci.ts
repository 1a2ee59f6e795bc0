import type { AccessBytes, PhysicalMachine } from "./physical-machine.ts";

/** The two ports of PCI configuration mechanism 1 (PCI Local Bus Specification 3.0, 3.2.2.3.2). */
const ADDRESS_PORT = 0xcf8;
const DATA_PORT = 0xcfc;

/** Slots of a bus. Only bus 0 is looked at: what lies behind bridges is refused with the bridge. */
const SLOTS = 32;

const HAS_FUNCTIONS = 0x80;

/** Where a function is. */
export interface PciAddress {
  readonly slot: number;
  readonly fn: number;
}

/** A function that answers on bus 0. */
export interface PciFunction extends PciAddress {
  readonly vendor: number;
  readonly device: number;
  /** Class and subclass, such as 0x0200 for Ethernet. */
  readonly classCode: number;
}

/** `00:03.0 10ec:8139`. */
export function pciName({ slot, fn, vendor, device }: PciFunction): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  return `00:${hex(slot, 2)}.${fn} ${hex(vendor, 4)}:${hex(device, 4)}`;
}

/**
 * Configuration cycles on bus 0. Only on a stopped machine: a processor of the guest may be between its write of the
 * address and its access of the data. What the guest left in the address port is put back by {@link PciConfig.done}.
 */
export class PciConfig {
  readonly #machine: PhysicalMachine;
  readonly #before: number;

  private constructor(machine: PhysicalMachine, before: number) {
    this.#machine = machine;
    this.#before = before;
  }

  /** Begins; keeps what the guest had in the address port. */
  static async begin(machine: PhysicalMachine): Promise<PciConfig> {
    return new PciConfig(machine, await machine.readPort(ADDRESS_PORT, 4));
  }

  read(at: PciAddress, offset: number, bytes: AccessBytes = 4): Promise<number> {
    const selected = this.#select(at, offset);
    const value = this.#machine.readPort(DATA_PORT + (offset & 3), bytes);
    return selected.then(() => value);
  }

  async write(at: PciAddress, offset: number, value: number, bytes: AccessBytes = 4): Promise<void> {
    await this.#select(at, offset);
    await this.#machine.writePort(DATA_PORT + (offset & 3), value, bytes);
  }

  /** Every function on bus 0. */
  async functions(): Promise<PciFunction[]> {
    const found: PciFunction[] = [];
    const slots = await Promise.all(
      Array.from({ length: SLOTS }, (_, slot) => this.#function({ slot, fn: 0 })),
    );
    for (const first of slots) {
      if (first === null) continue;
      found.push(first);
      if (((await this.read(first, 0x0e, 1)) & HAS_FUNCTIONS) === 0) continue;
      const others = [1, 2, 3, 4, 5, 6, 7].map((fn) => this.#function({ slot: first.slot, fn }));
      for (const other of await Promise.all(others)) if (other !== null) found.push(other);
    }
    return found;
  }

  /** Puts the address port back. */
  async done(): Promise<void> {
    await this.#machine.writePort(ADDRESS_PORT, this.#before, 4);
  }

  async #function(at: PciAddress): Promise<PciFunction | null> {
    const [identity, kind] = await Promise.all([this.read(at, 0), this.read(at, 8)]);
    if (identity === 0xffff_ffff) return null;
    return { ...at, vendor: identity & 0xffff, device: identity >>> 16, classCode: kind >>> 16 };
  }

  async #select({ slot, fn }: PciAddress, offset: number): Promise<void> {
    const address = (0x8000_0000 | (slot << 11) | (fn << 8) | (offset & 0xfc)) >>> 0;
    await this.#machine.writePort(ADDRESS_PORT, address, 4);
  }
}
