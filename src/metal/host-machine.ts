import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import type { AccessBytes, GuestWrite, PhysicalMachine } from "./physical-machine.ts";

/** A window of memory-mapped registers: a file whose byte 0 is at a physical address. */
export interface RegisterWindow {
  readonly path: string;
  readonly address: number;
  readonly bytes: number;
}

/** The files of a Linux host by which its hardware can be touched. */
export interface HostFiles {
  /** `/dev/port`: a byte per port. */
  readonly ports: string;
  /** `/dev/mem`, or a file that holds the guest's memory. */
  readonly memory: string;
  /** `/sys/bus/pci/devices/…/resourceN` of I/O regions that allow reads and writes, with their addresses. */
  readonly windows: readonly RegisterWindow[];
}

/**
 * The hardware of a Linux host through its files. Only what files can do: ports of one byte (`/dev/port` carries out one
 * access per byte, so wider ones would be several), registers in windows, memory. What needs a thin hypervisor below
 * the operating system is not there and says so: holding the processors and seeing the guest's own writes.
 */
export class HostMachine implements PhysicalMachine, Disposable {
  readonly #ports: number;
  readonly #memory: number;
  readonly #windows: readonly { readonly window: RegisterWindow; readonly file: number }[];

  /** @throws GodwitError `GODWIT_METAL_ACCESS` when a file can't be opened: this needs root */
  constructor(files: HostFiles) {
    try {
      this.#ports = openSync(files.ports, "r+");
      this.#memory = openSync(files.memory, "r+");
      this.#windows = files.windows.map((window) => ({ window, file: openSync(window.path, "r+") }));
    } catch (error) {
      throw asGodwitError(error, "GODWIT_METAL_ACCESS", {
        advice: "this needs root, and a kernel without lockdown",
      });
    }
  }

  async readPort(port: number, bytes: AccessBytes = 1): Promise<number> {
    this.#checkPort(port, bytes);
    return this.#read(this.#ports, port, 1).readUInt8();
  }

  async writePort(port: number, value: number, bytes: AccessBytes = 1): Promise<void> {
    this.#checkPort(port, bytes);
    this.#write(this.#ports, port, Uint8Array.of(value));
  }

  async readRegister(address: number, bytes: AccessBytes = 4): Promise<number> {
    const { window, file } = this.#window(address, bytes);
    return this.#read(file, address - window.address, bytes).readUIntLE(0, bytes);
  }

  async writeRegister(address: number, value: number, bytes: AccessBytes = 4): Promise<void> {
    const { window, file } = this.#window(address, bytes);
    const content = Buffer.alloc(bytes);
    content.writeUIntLE(value, 0, bytes);
    this.#write(file, address - window.address, content);
  }

  async readMemory(address: number, bytes: number): Promise<Buffer> {
    return this.#read(this.#memory, address, bytes);
  }

  async writeMemory(address: number, bytes: Uint8Array): Promise<void> {
    this.#write(this.#memory, address, bytes);
  }

  async stop(): Promise<void> {
    throw needsHypervisor("hold the processors");
  }

  async go(): Promise<void> {
    throw needsHypervisor("let the processors run");
  }

  async guestWrites(): Promise<readonly GuestWrite[]> {
    throw needsHypervisor("see what the guest writes");
  }

  [Symbol.dispose](): void {
    for (const file of [this.#ports, this.#memory, ...this.#windows.map(({ file }) => file)]) closeSync(file);
  }

  #checkPort(port: number, bytes: AccessBytes): void {
    if (bytes === 1 && port >= 0 && port <= 0xffff) return;
    throw failed(`an access of ${bytes} bytes to port 0x${port.toString(16)} can't be made through a file`);
  }

  #window(address: number, bytes: number) {
    const found = this.#windows.find(({ window }) => {
      return address >= window.address && address + bytes <= window.address + window.bytes;
    });
    if (found !== undefined) return found;
    throw failed(`no window has the register at 0x${address.toString(16)}`);
  }

  #read(file: number, position: number, bytes: number): Buffer {
    const content = Buffer.alloc(bytes);
    if (readSync(file, content, 0, bytes, position) === bytes) return content;
    throw failed(`nothing can be read at 0x${position.toString(16)}`);
  }

  #write(file: number, position: number, bytes: Uint8Array): void {
    if (writeSync(file, bytes, 0, bytes.length, position) === bytes.length) return;
    throw failed(`nothing can be written at 0x${position.toString(16)}`);
  }
}

function failed(why: string): GodwitError {
  return new GodwitError("GODWIT_METAL_ACCESS", why);
}

function needsHypervisor(what: string): GodwitError {
  return new GodwitError("GODWIT_METAL_ACCESS", `a host's files can't ${what}`, {
    advice: "that needs a thin hypervisor below the operating system; see docs/metal.md",
  });
}
