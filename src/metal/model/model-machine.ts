import { GodwitError } from "../../base/errors.ts";
import type { AccessBytes, GuestWrite, PhysicalMachine } from "../physical-machine.ts";
import { I8254Model } from "./i8254-model.ts";
import { I8259Model } from "./i8259-model.ts";
import type { ModelDevice } from "./model-device.ts";
import { RingNicModel } from "./ring-nic-model.ts";

const MEMORY_BYTES = 256 * 1024;
const ADDRESS_PORT = 0xcf8;
const DATA_PORT = 0xcfc;
const NIC_SLOT = 3;
const NIC_LINE = 11;

/**
 * A small PC in TypeScript: two 8259As, an 8254, a NIC with descriptor rings, memory. A guest is whatever test writes
 * through {@link ModelMachine.guest}, which the monitor sees; time passes when the test says so.
 */
export class ModelMachine implements PhysicalMachine {
  readonly memory = Buffer.alloc(MEMORY_BYTES);
  readonly timer = new I8254Model();
  readonly master = new I8259Model(0x20, 0x4d0);
  readonly slave = new I8259Model(0xa0, 0x4d1);
  readonly nic: RingNicModel;
  /** Whether its processors run. */
  runs = true;
  /** Every access since the beginning, as `write port 20 11`, for tests of order. */
  readonly accesses: string[] = [];
  readonly #writes: GuestWrite[] = [];
  #configAddress = 0;

  constructor(station: Uint8Array = Buffer.from("525400000001", "hex")) {
    this.nic = new RingNicModel(this.memory, station);
    this.timer.onOutput = (high) => this.master.setLine(0, high);
    this.slave.onAsks = (asks) => this.master.setLine(2, asks);
    this.nic.onLine = (up) => this.slave.setLine(NIC_LINE - 8, up);
  }

  /** A write by the guest's own software. */
  guest(space: "port" | "memory", address: number, value: number, bytes: AccessBytes = 1): void {
    this.#writes.push({ space, address, value, bytes });
    this.#write(space, address, value, bytes);
  }

  async readPort(port: number, bytes: AccessBytes = 1): Promise<number> {
    return this.#read("port", port, bytes);
  }

  async writePort(port: number, value: number, bytes: AccessBytes = 1): Promise<void> {
    this.#write("port", port, value, bytes);
  }

  async readRegister(address: number, bytes: AccessBytes = 4): Promise<number> {
    return this.#read("memory", address, bytes);
  }

  async writeRegister(address: number, value: number, bytes: AccessBytes = 4): Promise<void> {
    this.#write("memory", address, value, bytes);
  }

  async readMemory(address: number, bytes: number): Promise<Buffer> {
    this.#check(address, bytes);
    return Buffer.from(this.memory.subarray(address, address + bytes));
  }

  async writeMemory(address: number, bytes: Uint8Array): Promise<void> {
    this.#check(address, bytes.length);
    this.memory.set(bytes, address);
  }

  async stop(): Promise<void> {
    this.runs = false;
  }

  async go(): Promise<void> {
    this.runs = true;
  }

  async guestWrites(): Promise<readonly GuestWrite[]> {
    return this.#writes.splice(0);
  }

  get #devices(): readonly ModelDevice[] {
    return [this.timer, this.master, this.slave, this.nic];
  }

  #read(space: "port" | "memory", address: number, bytes: number): number {
    if (space === "port" && address === ADDRESS_PORT) return this.#configAddress;
    if (space === "port" && (address & ~3) === DATA_PORT)
      return this.#config(address & 3, bytes) ?? ones(bytes);
    for (const device of this.#devices) {
      const value = device.read(space, address, bytes);
      if (value !== null) return value;
    }
    // Nobody answers: the bus floats.
    return ones(bytes);
  }

  #write(space: "port" | "memory", address: number, value: number, bytes: number): void {
    this.accesses.push(`write ${space} ${address.toString(16)} ${value.toString(16)}`);
    if (space === "port" && address === ADDRESS_PORT) this.#configAddress = value;
    else if (space === "port" && (address & ~3) === DATA_PORT) this.#setConfig(address & 3, value, bytes);
    else this.#devices.some((device) => device.write(space, address, value, bytes));
  }

  #config(offset: number, bytes: number): number | null {
    if (this.#slot !== NIC_SLOT) return null;
    return this.nic.config.readUIntLE((this.#configAddress & 0xfc) + offset, bytes);
  }

  #setConfig(offset: number, value: number, bytes: number): void {
    const at = (this.#configAddress & 0xfc) + offset;
    // Who it is and what it is can't be written.
    if (this.#slot === NIC_SLOT && at >= 4 && at !== 8) this.nic.config.writeUIntLE(value, at, bytes);
  }

  get #slot(): number {
    return (this.#configAddress >>> 11) & 31;
  }

  #check(address: number, bytes: number): void {
    if (address + bytes <= MEMORY_BYTES) return;
    throw new GodwitError("GODWIT_METAL_ACCESS", `there is no memory at 0x${address.toString(16)}`);
  }
}

function ones(bytes: number): number {
  return 2 ** (8 * bytes) - 1;
}
