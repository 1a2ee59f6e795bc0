import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { GodwitError } from "../src/base/errors.ts";
import { QmpClient } from "../src/qemu/qmp.ts";

/** No multiple of 256 KiB: QEMU 7.2 under TCG loses dirty pages of those. */
export const MEMORY_BYTES = 4104 * 1024;

const ROM_BYTES = 64 * 1024;
/** At the reset vector: jump to the program. */
const RESET_VECTOR = [0xe9, 0x0d, 0x00];
/** Increments the first byte of each page from 64 KiB to 576 KiB, for ever. */
const PROGRAM = [
  0xb8, 0x00, 0x10, 0x8e, 0xd8, 0xfe, 0x06, 0x00, 0x00, 0x05, 0x00, 0x01, 0x3d, 0x00, 0x90, 0x72, 0xf2, 0xeb,
  0xed,
];

/** One of every kind of device that Godwit is to know; none of them has anything to do. */
const DEVICES = [
  ["VGA", "romfile=,vgamem_mb=1"],
  ["virtio-net-pci", "romfile=,netdev=n0"],
  ["virtio-serial-pci"],
  ["virtserialport", "name=org.godwit.test.0"],
  ["virtio-blk-pci", "drive=d0"],
  ["virtio-rng-pci"],
  ["qemu-xhci"],
  ["ahci"],
  ["e1000", "romfile=,netdev=n1"],
  ["intel-hda"],
];

/** A condition that hasn't come true by now never will: on a busy machine the slowest takes a few seconds. */
const PATIENCE_MS = 60_000;

/** Waits until something holds. @throws Error naming what didn't, so that a test ends and cleans up */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what}: still not so after ${PATIENCE_MS} ms`);
    await sleep(2);
  }
}

/** A tiny machine with many devices and a program in ROM that dirties memory; it needs no guest image. */
export class StreamMachine implements AsyncDisposable {
  readonly folder: string;
  readonly qmp: QmpClient;
  readonly #process: ChildProcess;

  private constructor(folder: string, qmp: QmpClient, process: ChildProcess) {
    this.folder = folder;
    this.qmp = qmp;
    this.#process = process;
  }

  /** Starts it, stopped; with `incoming` it waits for a stream on that socket. */
  static async start(binary: string, incoming?: string): Promise<StreamMachine> {
    const folder = mkdtempSync(join(tmpdir(), "godwit-stream-"));
    const rom = Buffer.alloc(ROM_BYTES);
    rom.set(PROGRAM, 0);
    rom.set(RESET_VECTOR, ROM_BYTES - 16);
    writeFileSync(join(folder, "rom"), rom);
    writeFileSync(join(folder, "disk"), Buffer.alloc(65536));
    const child = spawn(binary, machineArguments(folder, incoming), { stdio: ["ignore", "inherit", "pipe"] });
    let complaint = "";
    child.stderr!.on("data", (text: Buffer) => {
      complaint += text.toString();
    });
    for (;;) {
      try {
        return new StreamMachine(folder, await QmpClient.connect(join(folder, "qmp")), child);
      } catch (error) {
        const starting = child.exitCode === null && (error as GodwitError).code === "GODWIT_QMP_CONNECT";
        if (!starting) {
          child.kill("SIGKILL");
          throw new Error(`QEMU didn't start: ${complaint}`, { cause: error });
        }
        await sleep(5);
      }
    }
  }

  /** Lets the program run until it has gone through its memory once. */
  async runAWhile(): Promise<void> {
    await this.qmp.execute("cont");
    await until("the guest dirties memory", async () => (await this.saveMemory())[0x8f000]! > 0);
  }

  /** The guest's memory, by QEMU's own account. */
  async saveMemory(): Promise<Buffer> {
    const filename = join(this.folder, "memory");
    await this.qmp.execute("pmemsave", { val: 0, size: MEMORY_BYTES, filename });
    return readFileSync(filename);
  }

  /** Waits until the machine's run state is this. */
  async runState(status: string): Promise<void> {
    await until(`the machine is ${status}`, async () => {
      return (await this.qmp.execute("query-status")).status === status;
    });
  }

  async capabilities(...names: string[]): Promise<void> {
    const capabilities = names.map((capability) => ({ capability, state: true }));
    await this.qmp.execute("migrate-set-capabilities", { capabilities });
  }

  /** Waits until the migration is over or reaches `status`. */
  async migrationStatus(status: string): Promise<void> {
    await until(`the migration is ${status}`, async () => {
      const info = await this.qmp.execute("query-migrate");
      if (info.status === "failed") throw new Error(`the migration failed: ${JSON.stringify(info)}`);
      return info.status === status;
    });
  }

  /** Migrates into our hands. @returns the whole stream */
  async capture(): Promise<Buffer> {
    const socket = join(this.folder, "stream");
    const chunks: Buffer[] = [];
    const server = createServer((connection) => connection.on("data", (chunk: Buffer) => chunks.push(chunk)));
    server.listen(socket);
    await once(server, "listening");
    const connected = once(server, "connection");
    await this.qmp.execute("migrate", { uri: `unix:${socket}` });
    const [connection] = (await connected) as [Socket];
    const ended = once(connection, "end");
    await this.migrationStatus("completed");
    await ended;
    server.close();
    return Buffer.concat(chunks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.qmp.close();
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await exited;
    }
    rmSync(this.folder, { recursive: true });
  }
}

function machineArguments(folder: string, incoming: string | undefined): string[] {
  const pieces = [
    ["-machine", "pc", "-accel", "tcg", "-m", `${MEMORY_BYTES / 1024}K`, "-S", "-bios", join(folder, "rom")],
    ["-nodefaults", "-display", "none", "-monitor", "none", "-serial", "none"],
    // The clock stands while the guest does: the device state of a paused machine is always the same.
    ["-rtc", "base=2020-01-01T00:00:00,clock=vm"],
    ["-qmp", `unix:${join(folder, "qmp")},server=on,wait=off`],
    ["-netdev", "hubport,id=n0,hubid=0", "-netdev", "hubport,id=n1,hubid=0"],
    ["-drive", `id=d0,if=none,format=raw,readonly=on,file=${join(folder, "disk")}`],
    ...DEVICES.map((device) => ["-device", device.join(",")]),
    incoming === undefined ? [] : ["-incoming", incoming],
  ];
  return pieces.flat();
}
