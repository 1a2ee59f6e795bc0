import { z } from "zod";
import type { PhysicalMachine } from "../physical-machine.ts";
import type { DescriptorRing } from "./descriptor-ring.ts";

/** The internal pointers of a NIC with descriptor rings: which descriptor it looks at next. */
export interface RingPointers {
  readonly transmit: number;
  readonly receive: number;
}

/** The handles of a NIC that dummy frames need. All of it with the NIC in MAC loopback: nothing leaves. */
export interface LoopbackNic {
  readonly transmitRing: DescriptorRing;
  readonly receiveRing: DescriptorRing;
  /** Whether frames that come back are received, or dropped unseen. */
  accept(on: boolean): Promise<void>;
  /** Makes the NIC look at its transmit ring. */
  poll(): Promise<void>;
}

/** The schema of {@link RingSearch}. */
export const ringSearchSchema = z.strictObject({
  /** What the guest had in its rings and in the memory that dummies use, in base64. */
  rings: z.strictObject({ transmit: z.base64(), receive: z.base64() }),
  scratch: z.base64(),
  /** A pointer that is known by now. */
  transmit: z.int().nonnegative().nullable(),
  receive: z.int().nonnegative().nullable(),
});

/** A search for the pointers of a NIC that has begun: what another program needs to end it. */
export type RingSearch = z.output<typeof ringSearchSchema>;

/** Bytes of a dummy: the shortest frame, which no NIC has to pad. */
const DUMMY_BYTES = 60;

/** Room for a dummy that is received, with what the NIC puts behind it. */
const RECEIVED_BYTES = 2048;

/** A locally administered address as the sender, the NIC's own as the receiver. */
const DUMMY_SENDER = Buffer.from("0600676f6477", "hex");
/** EtherType for local experiments (IEEE 802, 88B5). */
const DUMMY_TYPE = Buffer.from("88b5", "hex");

/**
 * Memory that dummies use while the guest stands still: it is put back as it was. Linux never gives the first 64 KiB
 * of memory to anything, and what else may be there is put back all the same.
 */
const SCRATCH = { address: 0x8000, bytes: 4096 } as const;
const RECEIVE_OFFSET = 2048;

/**
 * Finds and sets the internal pointers of a NIC by what it does with frames of ours (BLMVisor, section 4.3: the guest's
 * descriptors are put aside, dummies take their place, and the ownership bits tell where the hardware was).
 */
export class RingProbe {
  readonly #machine: PhysicalMachine;
  readonly #nic: LoopbackNic;
  readonly #before: Buffer;
  readonly #frame: { address: number; bytes: number };
  readonly #space: { address: number; bytes: number };

  private constructor(machine: PhysicalMachine, nic: LoopbackNic, before: Buffer) {
    this.#machine = machine;
    this.#nic = nic;
    this.#before = before;
    this.#frame = { address: SCRATCH.address, bytes: DUMMY_BYTES };
    this.#space = { address: SCRATCH.address + RECEIVE_OFFSET, bytes: RECEIVED_BYTES };
  }

  /** What a search that is about to begin will have to put back. */
  static async plan(
    machine: PhysicalMachine,
    { transmitRing, receiveRing }: Pick<LoopbackNic, "transmitRing" | "receiveRing">,
  ): Promise<RingSearch> {
    const scratch = await machine.readMemory(SCRATCH.address, SCRATCH.bytes);
    const rings = {
      transmit: transmitRing.content.toString("base64"),
      receive: receiveRing.content.toString("base64"),
    };
    return { rings, scratch: scratch.toString("base64"), transmit: null, receive: null };
  }

  /**
   * Puts the dummy frame into memory. The NIC must be in loopback and ask for no interrupts.
   * @param search its plan
   */
  static async begin(
    machine: PhysicalMachine,
    nic: LoopbackNic,
    station: Uint8Array,
    search: Pick<RingSearch, "scratch">,
  ): Promise<RingProbe> {
    const frame = Buffer.alloc(DUMMY_BYTES);
    Buffer.concat([station, DUMMY_SENDER, DUMMY_TYPE]).copy(frame);
    await machine.writeMemory(SCRATCH.address, frame);
    return new RingProbe(machine, nic, Buffer.from(search.scratch, "base64"));
  }

  /**
   * Finds both pointers, and leaves them where they were. Takes up a search that was broken off anywhere: what our
   * descriptors have become since tells as much as ones put there now would.
   * @param found is told each pointer that was found, before what told it is gone
   */
  async find(
    search: Pick<RingSearch, "transmit" | "receive">,
    found: (pointers: Pick<RingSearch, "transmit" | "receive">) => void,
  ): Promise<RingPointers> {
    const { transmitRing, receiveRing } = this.#nic;
    const transmitted = await this.#sendToEnd(search.transmit === null);
    const transmit = search.transmit ?? transmitted;
    found({ transmit, receive: search.receive });
    let sent = 0;
    let taken = -1;
    if (search.receive === null && (await receiveRing.isOurs(this.#space))) {
      taken = (await receiveRing.owned()).indexOf(false);
    }
    if (taken === -1) {
      await receiveRing.fill(() => true, this.#space);
      sent = await this.#send(0, 1, true);
      taken = Math.max(0, (await receiveRing.owned()).indexOf(false));
    }
    const receive = search.receive ?? taken;
    found({ transmit, receive });
    const now = { transmit: sent % transmitRing.length, receive: (taken + 1) % receiveRing.length };
    await this.move(now, { transmit, receive });
    return { transmit, receive };
  }

  /**
   * The NIC sends from its pointer to the end of the ring and stops at the first descriptor, which it doesn't own.
   * @returns where it began, which was its pointer
   */
  async #sendToEnd(mayHaveBegun: boolean): Promise<number> {
    const { transmitRing } = this.#nic;
    await this.#nic.accept(false);
    if (!mayHaveBegun || !(await transmitRing.isOurs(this.#frame))) {
      await transmitRing.fill((index) => index !== 0, this.#frame);
    }
    await this.#nic.poll();
    return Math.max(0, (await transmitRing.owned()).indexOf(false, 1));
  }

  /** Takes both pointers forward from where they are. */
  async move(from: RingPointers, to: RingPointers): Promise<void> {
    const { transmitRing, receiveRing } = this.#nic;
    const received = distance(from.receive, to.receive, receiveRing.length);
    await receiveRing.fill(() => true, this.#space);
    let transmit = from.transmit;
    // As many come back as the receive pointer has to go; the transmit pointer goes around for that if it must.
    for (let left = received; left > 0; ) {
      const now = Math.min(left, transmitRing.length - 1);
      transmit = await this.#send(transmit, now, true);
      left -= now;
    }
    await this.#send(transmit, distance(transmit, to.transmit, transmitRing.length), false);
  }

  /** Puts the guest's descriptors and memory back. */
  async end(): Promise<void> {
    await this.#nic.transmitRing.putBack();
    await this.#nic.receiveRing.putBack();
    await this.#machine.writeMemory(SCRATCH.address, this.#before);
  }

  async #send(first: number, count: number, accepted: boolean): Promise<number> {
    if (count === 0) return first;
    const { length } = this.#nic.transmitRing;
    await this.#nic.accept(accepted);
    await this.#nic.transmitRing.fill((index) => distance(first, index, length) < count, this.#frame);
    await this.#nic.poll();
    return (first + count) % length;
  }
}

function distance(from: number, to: number, length: number): number {
  return (to - from + length) % length;
}
