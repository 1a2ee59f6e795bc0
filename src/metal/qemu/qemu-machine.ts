import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../../base/errors.ts";
import type { RunningMachine } from "../../qemu/running-machine.ts";
import { memoryFile } from "../../qemu/state-paths.ts";
import type { AccessBytes, GuestWrite, PhysicalMachine } from "../physical-machine.ts";
import { QtestClient } from "./qtest-client.ts";
import { TraceFile } from "./trace-file.ts";
import type { TracedWrite } from "./trace-line.ts";

/** Names in the machine's state folder, which is QEMU's working directory. */
const QTEST_SOCKET = "qtest.sock";
const TRACE_FILE = "trace.log";

/** What a machine file's `extraArguments` need, so that its QEMU can be treated as hardware. */
export const METAL_ARGUMENTS: readonly string[] = [
  ...["-qtest", `unix:${QTEST_SOCKET},server=on,wait=off`, "-qtest-log", "none"],
  ...["-trace", "enable=memory_region_ops_write", "-D", TRACE_FILE],
];

/** A port for codes of the power-on self-test: writes to it do nothing, and are traced. */
const MARKER_PORT = 0x80;

/** QEMU writes a line of trace with the access itself; a file system may take a moment to show it. */
const MARKER_TIMEOUT_MS = 5_000;

/** Between two looks at the trace for the marker. */
const MARKER_POLL_MS = 0.5;

/** QEMU maps guest memory below 4 GiB up to here (pc-i440fx); what is above lies behind 4 GiB. */
const LOW_MEMORY_END = 0xc000_0000;

const SUFFIX = { 1: "b", 2: "w", 4: "l" } as const;

/**
 * A QEMU as a physical machine: ports and registers through qtest, which runs accesses in QEMU's main loop exactly as
 * a processor's; memory through the shared file; the guest's own writes from QEMU's trace; stop and go over QMP.
 */
export class QemuPhysicalMachine implements PhysicalMachine, Disposable {
  readonly #machine: RunningMachine;
  readonly #qtest: QtestClient;
  readonly #memory: number;
  readonly #trace: TraceFile;
  #markers = 0;
  #failed: unknown = null;

  private constructor(machine: RunningMachine, qtest: QtestClient, memory: number, trace: TraceFile) {
    this.#machine = machine;
    this.#qtest = qtest;
    this.#memory = memory;
    this.#trace = trace;
  }

  /** Whether a machine was started so that it can be treated as hardware. */
  static allows(machine: RunningMachine): boolean {
    const { extraArguments, memoryBackend } = machine.machine;
    return memoryBackend.kind === "file" && METAL_ARGUMENTS.every((word) => extraArguments.includes(word));
  }

  /**
   * @param traceOffset where an earlier reader of the trace was
   * @throws GodwitError `GODWIT_METAL_MACHINE` when it was not started for it, `GODWIT_METAL_ACCESS`
   */
  static async open(machine: RunningMachine, traceOffset = 0): Promise<QemuPhysicalMachine> {
    if (!QemuPhysicalMachine.allows(machine)) {
      throw new GodwitError(
        "GODWIT_METAL_MACHINE",
        `"${machine.name}" was not started as a physical machine`,
        {
          advice: "give it memoryBackend: {kind: file} and the extraArguments of docs/metal.md",
        },
      );
    }
    const trace = new TraceFile(join(machine.folder, TRACE_FILE), traceOffset);
    const memory = openSync(memoryFile(machine.folder, machine.machine)!, "r");
    try {
      const qtest = await QtestClient.connect(join(machine.folder, QTEST_SOCKET));
      return new QemuPhysicalMachine(machine, qtest, memory, trace);
    } catch (error) {
      closeSync(memory);
      trace[Symbol.dispose]();
      throw error;
    }
  }

  /** Where a later reader of the trace goes on. */
  get traceOffset(): number {
    return this.#trace.offset;
  }

  /** Gives back the space of the trace before an offset. */
  forgetTrace(offset: number): void {
    this.#trace.forget(offset);
  }

  async readPort(port: number, bytes: AccessBytes = 1): Promise<number> {
    return Number(await this.#ask(`in${SUFFIX[bytes]} 0x${port.toString(16)}`));
  }

  async writePort(port: number, value: number, bytes: AccessBytes = 1): Promise<void> {
    this.#post(`out${SUFFIX[bytes]} 0x${port.toString(16)} 0x${value.toString(16)}`);
  }

  async readRegister(address: number, bytes: AccessBytes = 4): Promise<number> {
    return Number(await this.#ask(`read${SUFFIX[bytes]} 0x${address.toString(16)}`));
  }

  async writeRegister(address: number, value: number, bytes: AccessBytes = 4): Promise<void> {
    this.#post(`write${SUFFIX[bytes]} 0x${address.toString(16)} 0x${value.toString(16)}`);
  }

  async readMemory(address: number, bytes: number): Promise<Buffer> {
    const lowBytes = Math.min(this.#machine.machine.memoryBytes, LOW_MEMORY_END);
    if (address + bytes > lowBytes) {
      // Above 4 GiB the file is not at the guest's addresses; such buffers are few.
      const answer = await this.#ask(`b64read 0x${address.toString(16)} 0x${bytes.toString(16)}`);
      return Buffer.from(answer, "base64");
    }
    await this.#posted();
    const content = Buffer.alloc(bytes);
    for (let read = 0; read < bytes; ) {
      const now = readSync(this.#memory, content, read, bytes - read, address + read);
      if (now === 0) throw new GodwitError("GODWIT_METAL_ACCESS", "the machine's memory file is too short");
      read += now;
    }
    return content;
  }

  async writeMemory(address: number, bytes: Uint8Array): Promise<void> {
    const content = Buffer.from(bytes).toString("base64");
    // Through QEMU, not through the file: QEMU must log the page as dirty.
    const size = `0x${bytes.length.toString(16)}`;
    this.#post(`b64write 0x${address.toString(16)} ${size} ${content}`);
  }

  /** Returns when every write so far has been carried out. @throws GodwitError of one that failed */
  async settle(): Promise<void> {
    await this.#posted();
  }

  async stop(): Promise<void> {
    await this.#machine.qmp.execute("stop");
  }

  async go(): Promise<void> {
    await this.#posted();
    await this.#machine.qmp.execute("cont");
  }

  /** The guest's writes that have been traced by now, whether or not these are all: what is read early is read in time. */
  tracedWrites(): readonly GuestWrite[] {
    const writes: TracedWrite[] = [];
    this.#trace.read((write) => {
      if (write.processor >= 0) writes.push(write);
    });
    return writes;
  }

  /**
   * Proven complete by a marker: an access of our own that QEMU traces behind everything it traced before. Two bytes
   * that count up tell it from the markers of before.
   */
  async guestWrites(): Promise<readonly GuestWrite[]> {
    const writes: TracedWrite[] = [];
    this.#markers = (this.#markers + 1) & 0xffff;
    const marker = [this.#markers & 0xff, this.#markers >> 8];
    for (const byte of marker) await this.writePort(MARKER_PORT, byte);
    await this.#posted();
    let found = 0;
    const deadline = performance.now() + MARKER_TIMEOUT_MS;
    for (;;) {
      this.#trace.read((write) => {
        if (write.processor >= 0) writes.push(write);
        else if (write.space === "port" && write.address === MARKER_PORT) {
          found = write.value === marker[found] ? found + 1 : write.value === marker[0] ? 1 : 0;
        }
      });
      if (found >= marker.length) return writes;
      if (performance.now() > deadline) {
        throw new GodwitError("GODWIT_METAL_TRACE", "QEMU's trace lacks a write that was just made", {
          advice: `see whether ${join(this.#machine.folder, TRACE_FILE)} grows, and for space on its disk`,
        });
      }
      await sleep(MARKER_POLL_MS);
    }
  }

  async #ask(line: string): Promise<string> {
    const answer = await this.#qtest.command(line);
    if (this.#failed !== null) throw this.#failed;
    return answer;
  }

  /**
   * Writes are posted as on a bus: they are carried out in order, and whoever reads next learns of one that failed.
   * Waiting for each would cost most of the pause.
   */
  #post(line: string): void {
    this.#qtest.command(line).catch((error: unknown) => {
      this.#failed ??= error;
    });
  }

  /** Returns when every posted write has been carried out: a read comes back behind them. */
  async #posted(): Promise<void> {
    await this.#ask("inb 0x80");
  }

  [Symbol.dispose](): void {
    this.#qtest.close();
    closeSync(this.#memory);
    this.#trace[Symbol.dispose]();
  }
}
