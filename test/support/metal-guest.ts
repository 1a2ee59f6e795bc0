import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { metalGuestImage, type QemuVersion } from "../../src/lab/toolchain.ts";
import { METAL_ARGUMENTS } from "../../src/metal/index.ts";
import type { Machine } from "../../src/qemu/machine.ts";
import { parseMachineFile } from "../../src/qemu/machine-file.ts";
import type { RunningMachine } from "../../src/qemu/running-machine.ts";
import { testMemory } from "./guest.ts";

/** A slow machine boots the guest in 20 s. */
const BOOT_TIMEOUT_MS = 120_000;

/** A PC for that QEMU with nothing in it that can't be rebuilt: a NIC, an RTL8139C+ if absent, as its only PCI device. */
export function metalMachine(
  version: QemuVersion,
  options: { netdev?: string; append?: string; vcpus?: number; nic?: "rtl8139" | "pcnet" | "e1000" } = {},
): Machine {
  const { kernel, initrd } = metalGuestImage();
  const {
    netdev = "user,hostfwd=tcp:127.0.0.1:0-:7001",
    append = "noapic nolapic",
    vcpus = 1,
    nic = "rtl8139",
  } = options;
  return parseMachineFile(
    JSON.stringify({
      name: "metal",
      memory: testMemory(version),
      vcpus,
      hpet: false,
      kernel,
      initrd,
      append: `console=ttyS0 panic=-1 cryptomgr.notests ${append} godwit.ip=10.0.2.15/24 godwit.gw=10.0.2.2`,
      memoryBackend: { kind: "file", directory: "/dev/shm" },
      nics: [{ model: nic, backend: { kind: "netdev", options: netdev } }],
      extraArguments: METAL_ARGUMENTS,
    }),
  );
}

/** The guest's console so far. */
export function consoleOf(machine: RunningMachine): string {
  return readFileSync(machine.serialLogPath, "utf8");
}

/** Waits until the guest's load generator listens. */
export async function booted(machine: RunningMachine): Promise<void> {
  const deadline = performance.now() + BOOT_TIMEOUT_MS;
  while (!consoleOf(machine).includes('"ready":"echo"')) {
    if (performance.now() > deadline)
      throw new Error(`the guest does not boot: ${consoleOf(machine).slice(-500)}`);
    await sleep(100);
  }
}

/** Lines of the guest's TCP stream, checked one by one. */
export class GuestStream implements Disposable {
  readonly #socket: Socket;
  #rest = "";
  /** Lines that came in order so far. */
  lines = 0;
  /** The first line that was not the next one. */
  torn: string | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1").on("data", (text: string) => this.#read(text));
    socket.on("error", () => {});
  }

  static open(port: number, host = "127.0.0.1"): Promise<GuestStream> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, host);
      socket.once("error", reject);
      socket.once("connect", () => resolve(new GuestStream(socket)));
    });
  }

  /** Resolves when so many more lines have come. */
  async more(lines: number, timeoutMs = 60_000): Promise<void> {
    const wanted = this.lines + lines;
    const deadline = performance.now() + timeoutMs;
    while (this.lines < wanted) {
      if (performance.now() > deadline) throw new Error(`the guest's stream stopped at line ${this.lines}`);
      await sleep(10);
    }
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (Number.parseInt(line.slice(0, 16), 16) === this.lines) this.lines += 1;
      else this.torn ??= line;
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** The host's port of a machine with QEMU's user network that leads to one of the guest, or to its only one. */
export async function forwardedPort(machine: RunningMachine, guestPort?: number): Promise<number> {
  const text = String(await machine.qmp.execute("human-monitor-command", { "command-line": "info usernet" }));
  const forwards = [...text.matchAll(/127\.0\.0\.1\s+(\d+)\s+10\.0\.\d+\.\d+\s+(\d+)/g)];
  return Number(forwards.find(([, , to]) => guestPort === undefined || Number(to) === guestPort)?.[1]);
}
