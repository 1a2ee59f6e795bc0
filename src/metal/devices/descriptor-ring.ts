import type { PhysicalMachine } from "../physical-machine.ts";

/** A descriptor has 16 bytes: two words of flags, an address of 64 bits. */
export const DESCRIPTOR_BYTES = 16;

const OWN = 0x8000_0000;
const END_OF_RING = 0x4000_0000;
/** First and last segment: a whole frame in one buffer. */
const WHOLE_FRAME = 0x3000_0000;

/** A ring of descriptors as the RTL8139C+ and the RTL8169 have it. */
export class DescriptorRing {
  readonly address: number;
  /** How many descriptors it has. */
  readonly length: number;
  /** What the guest has there. */
  readonly content: Buffer;
  readonly #machine: PhysicalMachine;

  private constructor(machine: PhysicalMachine, address: number, content: Buffer) {
    this.#machine = machine;
    this.address = address;
    this.content = content;
    this.length = content.length / DESCRIPTOR_BYTES;
  }

  /**
   * Reads a ring. It ends with the descriptor that says so; a driver may say so only when it first uses that one, so
   * that without any the ring is as long as the hardware allows.
   */
  static async read(
    machine: PhysicalMachine,
    address: number,
    mostDescriptors: number,
  ): Promise<DescriptorRing> {
    const content = await machine.readMemory(address, mostDescriptors * DESCRIPTOR_BYTES);
    let length = mostDescriptors;
    for (let index = 0; index < mostDescriptors; index++) {
      if ((content.readUInt32LE(index * DESCRIPTOR_BYTES) & END_OF_RING) === 0) continue;
      length = index + 1;
      break;
    }
    return new DescriptorRing(machine, address, content.subarray(0, length * DESCRIPTOR_BYTES));
  }

  /** A ring in which there may be descriptors of ours by now. @param content what the guest had there */
  static of(machine: PhysicalMachine, address: number, content: Buffer): DescriptorRing {
    return new DescriptorRing(machine, address, content);
  }

  /**
   * Fills the ring with descriptors of ours that all use one buffer.
   * @param isOwned whether the hardware shall have a descriptor
   */
  async fill(isOwned: (index: number) => boolean, buffer: { address: number; bytes: number }): Promise<void> {
    const content = Buffer.alloc(this.content.length);
    for (let index = 0; index < this.length; index++) {
      const at = index * DESCRIPTOR_BYTES;
      const end = index === this.length - 1 ? END_OF_RING : 0;
      const own = isOwned(index) ? OWN : 0;
      content.writeUInt32LE((own | end | WHOLE_FRAME | buffer.bytes) >>> 0, at);
      content.writeUInt32LE(buffer.address, at + 8);
    }
    await this.#machine.writeMemory(this.address, content);
  }

  /** Which descriptors the hardware has now. */
  async owned(): Promise<boolean[]> {
    const content = await this.#machine.readMemory(this.address, this.content.length);
    return Array.from({ length: this.length }, (_, index) => {
      return (content.readUInt32LE(index * DESCRIPTOR_BYTES) & OWN) !== 0;
    });
  }

  /** Whether {@link fill} has put descriptors with this buffer there, and nobody the guest's back. */
  async isOurs(buffer: { address: number }): Promise<boolean> {
    const content = await this.#machine.readMemory(this.address, this.content.length);
    return Array.from({ length: this.length }, (_, index) => index * DESCRIPTOR_BYTES + 8).every((at) => {
      return content.readUInt32LE(at) === buffer.address && content.readUInt32LE(at + 4) === 0;
    });
  }

  /** Puts back what the guest had there. */
  async putBack(): Promise<void> {
    await this.#machine.writeMemory(this.address, this.content);
  }
}
