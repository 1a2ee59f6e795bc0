import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeSync,
} from "node:fs";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import { abortError, type WaitOptions } from "../base/waiting.ts";
import { type ForeignCalls, foreignCalls } from "./foreign-calls.ts";

/**
 * Memory that a guest and its host share: a page of words, and 261,632 blocks of 8 bytes, which is what 8 GiB have at
 * a quarter of the worst case. A power of two, as PCI wants it.
 */
export const DOORBELL_MEMORY_BYTES = 2 * 1024 ** 2;

/** "GWTL", little-endian, at the beginning of it: tells the guest's driver that the device is for it. */
const MAGIC = 0x4c545747;

/** The descriptor under which QEMU finds the device's server: the first behind its standard ones. */
export const DOORBELL_DESCRIPTOR = 3;

/** Numbers of the two ends, as the device's protocol has them; the guest is told the host's. */
const GUEST_PEER = 0;
/** See {@link GUEST_PEER}. */
export const DOORBELL_HOST_PEER = 1;

/** Version of the protocol between ivshmem and its server. */
const PROTOCOL_VERSION = 0;
/** What is sent as number when a descriptor is the shared memory. */
const SHARED_MEMORY = -1;

const NAME = /^\/memfd:godwit-doorbell:(\d+):(\d+)/;
const ONE = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

/** What QEMU is started with: the socket goes to it as {@link DOORBELL_DESCRIPTOR}. */
export interface DoorbellServer extends Disposable {
  readonly socket: number;
}

/**
 * Makes a doorbell for a machine that is about to start. QEMU's device wants a server that hands it shared memory and
 * events; all that a server would ever say waits in a socket here, so that no process need serve. Afterwards only QEMU
 * has the memory and the events, and {@link takeDoorbell} finds them there: the memory's name says which they are.
 * @throws GodwitError `GODWIT_DOORBELL`
 */
export async function makeDoorbell(): Promise<DoorbellServer> {
  const calls = await foreignCalls();
  using made = new DisposableStack();
  const keep = (descriptor: number) => {
    made.defer(() => calls.close(descriptor));
    return descriptor;
  };
  const guest = keep(calls.makeEvent());
  const host = keep(calls.makeEvent());
  const memory = keep(
    calls.makeMemoryFile(`godwit-doorbell:${eventId("self", guest)}:${eventId("self", host)}`),
  );
  ftruncateSync(memory, DOORBELL_MEMORY_BYTES);
  writeWord(memory, 0, MAGIC);
  const [ours, qemus] = calls.makeSocketPair();
  keep(ours);
  keep(qemus);
  calls.send(ours, numbered(PROTOCOL_VERSION), null);
  calls.send(ours, numbered(GUEST_PEER), null);
  calls.send(ours, numbered(SHARED_MEMORY), memory);
  calls.send(ours, numbered(DOORBELL_HOST_PEER), host);
  calls.send(ours, numbered(GUEST_PEER), guest);
  const kept = made.move();
  return { socket: qemus, [Symbol.dispose]: () => kept.dispose() };
}

/**
 * The host's end of a running machine's doorbell, whoever started it.
 * @throws GodwitError `GODWIT_DOORBELL` where the machine has none, or where this process may not take it
 */
export async function takeDoorbell(pid: number): Promise<Doorbell> {
  const calls = await foreignCalls();
  try {
    return Doorbell.take(pid, calls);
  } catch (error) {
    throw asGodwitError(error, "GODWIT_DOORBELL", {
      advice: "its agent needs the rights to read its memory",
    });
  }
}

/** Memory that both see, and a bell for each. */
export class Doorbell implements Disposable {
  readonly bytes = DOORBELL_MEMORY_BYTES;
  /** Whom the guest shall ring for. */
  readonly hostPeer = DOORBELL_HOST_PEER;
  readonly #calls: ForeignCalls;
  readonly #memory: number;
  readonly #guest: number;
  readonly #host: number;
  #open = true;
  #waits = 0;

  private constructor(calls: ForeignCalls, memory: number, guest: number, host: number) {
    this.#calls = calls;
    this.#memory = memory;
    this.#guest = guest;
    this.#host = host;
  }

  static take(pid: number, calls: ForeignCalls): Doorbell {
    const folder = `/proc/${pid}/fd`;
    const links = readdirSync(folder).map((entry) => [entry, linkOf(`${folder}/${entry}`)] as const);
    const [memory, name] = links.find(([, link]) => NAME.test(link)) ?? [];
    if (memory === undefined) {
      throw new GodwitError("GODWIT_DOORBELL", "the machine has no doorbell device", {
        advice: "set doorbell: true in its machine file and start it anew",
      });
    }
    const [, guestId, hostId] = NAME.exec(name!)!;
    const events = links
      .filter(([, link]) => link === "anon_inode:[eventfd]")
      .map(([entry]) => Number(entry));
    using taken = new DisposableStack();
    const take = (id: string) => {
      const found = events.find((descriptor) => eventId(pid, descriptor) === id);
      if (found === undefined) throw new GodwitError("GODWIT_DOORBELL", "QEMU has let go of its doorbell");
      return taken.adopt(calls.takeDescriptor(pid, found), calls.close);
    };
    const [guest, host] = [take(guestId!), take(hostId!)];
    const doorbell = new Doorbell(calls, openSync(`${folder}/${memory}`, "r+"), guest, host);
    taken.move();
    return doorbell;
  }

  /** Fills `into` from the shared memory. */
  read(into: Uint8Array, at: number): void {
    readSync(this.#memory, into, 0, into.length, at);
  }

  /** Writes a word of 32 bits into the shared memory. */
  write(word: number, at: number): void {
    writeWord(this.#memory, at, word);
  }

  /** Interrupts the guest. */
  ring(): void {
    writeSync(this.#guest, ONE);
  }

  /** Waits until the guest rings, or has rung since the last wait; false when the time is over. @throws `GODWIT_ABORTED` */
  async rung({ signal, timeoutMs = 0 }: WaitOptions): Promise<boolean> {
    throwIfAborted(signal);
    const wake = () => writeSync(this.#host, ONE);
    signal?.addEventListener("abort", wake, { once: true });
    this.#waits += 1;
    try {
      const rung = await this.#calls.waitReadable(this.#host, timeoutMs);
      if (rung) this.#clear();
      throwIfAborted(signal);
      return rung;
    } finally {
      signal?.removeEventListener("abort", wake);
      this.#waits -= 1;
      if (!this.#open && this.#waits === 0) this.#close();
    }
  }

  /** A wait that goes on keeps its descriptors until it is over. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#waits === 0) this.#close();
  }

  #clear(): void {
    try {
      readSync(this.#host, Buffer.alloc(8));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }

  #close(): void {
    closeSync(this.#memory);
    for (const descriptor of [this.#guest, this.#host]) this.#calls.close(descriptor);
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

function numbered(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes;
}

function writeWord(file: number, at: number, word: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(word);
  writeSync(file, bytes, 0, 4, at);
}

/** By what the kernel tells one event from another, in whichever process. */
function eventId(pid: number | "self", descriptor: number): string {
  const text = readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, "utf8");
  const [, id] = /^eventfd-id:\s*(\d+)$/m.exec(text) ?? [];
  if (id === undefined) throw new GodwitError("GODWIT_DOORBELL", "this kernel does not tell events apart");
  return id;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
