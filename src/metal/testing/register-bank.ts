import type { AccessBytes, GuestWrite, PhysicalMachine } from "../physical-machine.ts";

/** What stands at some place of a {@link RegisterBank}. */
export interface Responder {
  read(): number;
  write(value: number): void;
}

/** A machine of nothing but registers that keep what they are given, and of those that a test gives a mind of their own. */
export class RegisterBank implements PhysicalMachine {
  readonly #kept = new Map<string, number>();
  readonly #responders = new Map<string, Responder>();

  /** Has something answer at a port or an address. */
  place(space: "port" | "memory", address: number, responder: Responder): void {
    this.#responders.set(`${space} ${address}`, responder);
  }

  /** A register behind an address port, as many devices have them; gives what they hold. */
  placeBank(space: "port" | "memory", index: number, data: number): Map<number, number> {
    const bank = new Map<number, number>();
    let selected = 0;
    this.place(space, index, {
      read: () => selected,
      write: (value) => {
        selected = value;
      },
    });
    this.place(space, data, {
      read: () => bank.get(selected) ?? 0,
      write: (value) => bank.set(selected, value),
    });
    return bank;
  }

  async readPort(port: number): Promise<number> {
    return this.#read(`port ${port}`, 0);
  }

  async writePort(port: number, value: number): Promise<void> {
    this.#write(`port ${port}`, value);
  }

  async readRegister(address: number): Promise<number> {
    return this.#read(`memory ${address}`, 0);
  }

  async writeRegister(address: number, value: number, _bytes: AccessBytes = 4): Promise<void> {
    this.#write(`memory ${address}`, value);
  }

  async readMemory(_address: number, bytes: number): Promise<Buffer> {
    return Buffer.alloc(bytes);
  }

  async writeMemory(): Promise<void> {}
  async stop(): Promise<void> {}
  async go(): Promise<void> {}

  async guestWrites(): Promise<readonly GuestWrite[]> {
    return [];
  }

  #read(place: string, otherwise: number): number {
    return this.#responders.get(place)?.read() ?? this.#kept.get(place) ?? otherwise;
  }

  #write(place: string, value: number): void {
    const responder = this.#responders.get(place);
    if (responder === undefined) this.#kept.set(place, value);
    else responder.write(value);
  }
}
