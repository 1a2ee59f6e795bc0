import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { QemuVersion } from "../src/lab/toolchain.ts";
import { qemuBuild, qemuVersions } from "../src/lab/toolchain.ts";
import { adoptMachine } from "../src/qemu/adopt.ts";
import type { Machine } from "../src/qemu/machine.ts";
import { parseMachineFile } from "../src/qemu/machine-file.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { type StartOptions, startMachine } from "../src/qemu/start.ts";

/** The QEMU versions that every test runs with. */
export const VERSIONS: readonly QemuVersion[] = qemuVersions();

/** State folders and QEMUs of one test; whatever still runs or lies about at its end goes. */
export class Workshop implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "godwit-qemu-"));
  readonly #machines: RunningMachine[] = [];
  readonly binary: string;

  constructor(version: QemuVersion) {
    this.binary = qemuBuild(version).binary;
  }

  /** A state folder's path. */
  state(name = "vm"): string {
    return join(this.folder, name);
  }

  async start(machine: Machine, options: Partial<StartOptions> = {}): Promise<RunningMachine> {
    return this.keep(
      await startMachine(machine, { stateFolder: this.state(), qemu: this.binary, ...options }),
    );
  }

  /** Ends this machine with the others. */
  keep(machine: RunningMachine): RunningMachine {
    this.#machines.push(machine);
    return machine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A second handle of the same QEMU may have been released: look at the process, not at the handle.
    for (const { pid, runs } of this.#machines) if (runs) process.kill(pid, "SIGKILL");
    for (const machine of this.#machines) {
      while (machine.runs) await new Promise((resolve) => setTimeout(resolve, 5));
      machine.release();
      await adoptMachine(machine.folder);
    }
    rmSync(this.folder, { recursive: true });
  }
}

/** A machine with little memory (no multiple of 256 KiB) and what `yaml` adds. It has nothing to boot. */
export function smallMachine(yaml = "", memory = "32776KiB"): Machine {
  return parseMachineFile(`name: small\nmemory: ${memory}\n${yaml}`);
}
