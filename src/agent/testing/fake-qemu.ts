import { mkdirSync } from "node:fs";
import { GodwitError } from "../../base/errors.ts";
import { parseMachineFile } from "../../qemu/machine-file.ts";
import type { MachineDescription, MachineDriver, MachineExit, MachineHandle } from "../ports.ts";

/** A QEMU that only exists in memory: it outlives registries as a real one outlives agents. */
export class FakeQemu {
  readonly description: MachineDescription;
  readonly pid: number;
  guestRuns = true;
  exit: MachineExit | null = null;
  readonly #ended = Promise.withResolvers<MachineExit>();
  readonly #listeners = new Set<(what: "guest-paused" | "guest-resumed") => void>();

  constructor(description: MachineDescription, pid: number) {
    this.description = description;
    this.pid = pid;
  }

  pause(): void {
    this.guestRuns = false;
    for (const listener of this.#listeners) listener("guest-paused");
  }

  resume(): void {
    this.guestRuns = true;
    for (const listener of this.#listeners) listener("guest-resumed");
  }

  end(code = 0, signal: string | null = null): void {
    this.exit = { code, signal };
    this.#ended.resolve(this.exit);
  }

  handle(): MachineHandle<FakeQemu> {
    return {
      description: this.description,
      pid: this.pid,
      qemuVersion: "10.0.2",
      logPath: "/nowhere/qemu.log",
      native: this,
      exited: this.#ended.promise,
      runs: () => this.exit === null,
      guestRuns: async () => this.guestRuns,
      onGuest: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      stop: async () => this.end(),
      captureDevices: async () => ({ format: 1, devices: {}, shadows: {} }),
      release: () => {},
    };
  }
}

/** A driver of QEMUs in memory, by folder. */
export class FakeDriver implements MachineDriver<FakeQemu> {
  readonly qemus = new Map<string, FakeQemu>();
  /** What the next start fails with. */
  failWith: GodwitError | null = null;
  #pid = 1000;

  parse(text: string, baseFolder: string) {
    const machine = parseMachineFile(text, { baseFolder });
    const { name, memoryBytes, vcpus, accelerator } = machine;
    const warnings = memoryBytes % (256 * 1024) === 0 ? ["it loses pages: take another size"] : [];
    return { name, memoryBytes, vcpus, accelerator, warnings, machine };
  }

  async start(description: MachineDescription, folder: string): Promise<MachineHandle<FakeQemu>> {
    const failure = this.failWith;
    this.failWith = null;
    mkdirSync(folder, { recursive: true });
    if (failure !== null) throw failure;
    this.#pid += 1;
    const qemu = new FakeQemu(description, this.#pid);
    this.qemus.set(folder, qemu);
    return qemu.handle();
  }

  async adopt(folder: string): Promise<MachineHandle<FakeQemu> | null> {
    const qemu = this.qemus.get(folder);
    return qemu === undefined || qemu.exit !== null ? null : qemu.handle();
  }

  /** The QEMU of the VM of that name. */
  of(name: string): FakeQemu {
    for (const [folder, qemu] of this.qemus) if (folder.endsWith(`/${name}`)) return qemu;
    throw new GodwitError("GODWIT_VM_UNKNOWN", `the test started no ${name}`);
  }
}
