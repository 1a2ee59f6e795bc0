import type { ModelDevice } from "./model-device.ts";

const REGION_BYTES = 256;
const OWN = 0x8000_0000;
const END_OF_RING = 0x4000_0000;
const MOST_DESCRIPTORS = 64;

const CHIP_COMMAND = 0x37;
const INTERRUPT_MASK = 0x3c;
const INTERRUPT_STATUS = 0x3e;
const TRANSMIT_CONFIG = 0x40;
const RECEIVE_CONFIG = 0x44;
const TRANSMIT_POLL = 0xd9;
const TRANSMIT_RING = 0x20;
const RECEIVE_RING = 0xe4;
const LOOPBACK = 0x6_0000;

/**
 * A NIC with descriptor rings and internal pointers, with the RTL8169's register layout. Its configuration space is
 * slot 3 of bus 0. What it sends goes to {@link RingNicModel.sent}, unless it is in loopback.
 */
export class RingNicModel implements ModelDevice {
  readonly #memory: Buffer;
  readonly #registers = Buffer.alloc(REGION_BYTES);
  readonly config = Buffer.alloc(256);
  /** Frames that left the machine. */
  readonly sent: Buffer[] = [];
  /** Called when its interrupt line changes. */
  onLine: (up: boolean) => void = () => {};
  /** The internal pointers. */
  transmit = 0;
  receive = 0;

  constructor(memory: Buffer, permanent: Uint8Array) {
    this.#memory = memory;
    this.config.writeUInt32LE(0x8139_10ec, 0);
    this.config.writeUInt32LE(0x0200_0020, 8);
    this.#reset(permanent);
    this.#permanent = permanent;
  }

  readonly #permanent: Uint8Array;

  /** A frame from outside. @returns whether it was received */
  arrives(frame: Uint8Array): boolean {
    const at = this.#ring(RECEIVE_RING) + 16 * this.receive;
    const flags = this.#memory.readUInt32LE(at);
    if ((flags & OWN) === 0) {
      this.#report(0x10);
      return false;
    }
    this.#memory.set(frame, this.#memory.readUInt32LE(at + 8));
    this.#memory.writeUInt32LE(((flags & END_OF_RING) | 0x3000_0000 | (frame.length + 4)) >>> 0, at);
    this.receive = (flags & END_OF_RING) !== 0 ? 0 : (this.receive + 1) % MOST_DESCRIPTORS;
    this.#report(0x01);
    return true;
  }

  read(space: "port" | "memory", address: number, bytes: number): number | null {
    const offset = this.#offset(space, address);
    return offset === null ? null : this.#registers.readUIntLE(offset, bytes);
  }

  write(space: "port" | "memory", address: number, value: number, bytes: number): boolean {
    const offset = this.#offset(space, address);
    if (offset === null) return false;
    if (offset === INTERRUPT_STATUS) {
      const left = this.#registers.readUInt16LE(INTERRUPT_STATUS) & ~value;
      this.#registers.writeUInt16LE(left, INTERRUPT_STATUS);
    } else if (offset === TRANSMIT_POLL) this.#transmitAll();
    else if (offset === CHIP_COMMAND && (value & 0x10) !== 0) this.#reset(this.#permanent);
    // Before the transmitter is on, its configuration can't be set.
    else if (offset === TRANSMIT_CONFIG && (this.#registers[CHIP_COMMAND]! & 0x04) === 0) return true;
    else {
      this.#registers.writeUIntLE(value, offset, bytes);
      if (offset === CHIP_COMMAND && (value & 0x08) !== 0) this.receive = 0;
      if (offset === CHIP_COMMAND && (value & 0x04) !== 0) this.transmit = 0;
    }
    this.#report(0);
    return true;
  }

  #offset(space: "port" | "memory", address: number): number | null {
    const isOn = (this.config[4]! & (space === "port" ? 1 : 2)) !== 0;
    const base = (this.config.readUInt32LE(space === "port" ? 0x10 : 0x14) & ~0xff) >>> 0;
    return isOn && address >= base && address < base + REGION_BYTES ? address - base : null;
  }

  #ring(register: number): number {
    return this.#registers.readUInt32LE(register);
  }

  #transmitAll(): void {
    for (;;) {
      const at = this.#ring(TRANSMIT_RING) + 16 * this.transmit;
      const flags = this.#memory.readUInt32LE(at);
      if ((flags & OWN) === 0) return;
      const from = this.#memory.readUInt32LE(at + 8);
      const frame = Buffer.from(this.#memory.subarray(from, from + (flags & 0xffff)));
      this.#memory.writeUInt32LE((flags & ~OWN) >>> 0, at);
      this.transmit = (flags & END_OF_RING) !== 0 ? 0 : (this.transmit + 1) % MOST_DESCRIPTORS;
      const isLoop = (this.#registers.readUInt32LE(TRANSMIT_CONFIG) & LOOPBACK) === LOOPBACK;
      if (!isLoop) this.sent.push(frame);
      else if (this.#accepts(frame)) this.arrives(frame);
      this.#report(0x04);
    }
  }

  #accepts(frame: Buffer): boolean {
    const config = this.#registers.readUInt32LE(RECEIVE_CONFIG);
    return (config & 0x02) !== 0 && frame.subarray(0, 6).equals(this.#registers.subarray(0, 6));
  }

  #reset(permanent: Uint8Array): void {
    this.#registers.fill(0);
    this.#registers.set(permanent);
    this.transmit = 0;
    this.receive = 0;
  }

  #report(bits: number): void {
    const status = this.#registers.readUInt16LE(INTERRUPT_STATUS) | bits;
    this.#registers.writeUInt16LE(status, INTERRUPT_STATUS);
    this.onLine((status & this.#registers.readUInt16LE(INTERRUPT_MASK)) !== 0);
  }
}
