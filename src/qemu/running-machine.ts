import type { ChildProcess } from "node:child_process";
import { GodwitError } from "../base/errors.ts";
import { type WaitOptions, waiting } from "../base/waiting.ts";
import { removeRemainsOf } from "./clean-up.ts";
import type { Machine } from "./machine.ts";
import { KILL_TIMEOUT_MS, type ProcessIdentity, processRuns, signalProcess } from "./process-table.ts";
import { QmpClient, type QmpConnectOptions } from "./qmp-client.ts";
import { isEvent, type ShutdownData } from "./qmp-events.ts";
import { channelSocket, statePaths } from "./state-paths.ts";
import type { QemuVersion } from "./version.ts";

/** `quit` closes disks first, which takes as long as they need to flush; a blocked main loop never answers. */
const QUIT_TIMEOUT_MS = 5_000;
/** SIGTERM does what `quit` does; it is tried only when `quit` did not work, mostly in vain. */
const TERMINATE_TIMEOUT_MS = 2_000;
/** What is in the monitor's socket is read in the next turn of the event loop; this is only a bound. */
const LAST_WORDS_TIMEOUT_MS = 1_000;
/** How often a process that is no child of ours is looked at; its monitor's end is noticed at once besides. */
const POLL_MS = 100;

/** How a QEMU process ended, as far as it can be known. */
export interface MachineExit {
  /** Exit code, `null` after a signal and for a QEMU that another process had started. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What QEMU said about its shutdown, where its monitor was open: the guest powered off, `quit` … */
  readonly shutdown: ShutdownData | null;
}

/** What {@link RunningMachine} is made of. */
export interface RunningMachineParts {
  readonly machine: Machine;
  readonly folder: string;
  readonly binary: string;
  readonly identity: ProcessIdentity;
  readonly qmp: QmpClient;
  readonly version: QemuVersion;
  readonly machineType: string;
  readonly child?: ChildProcess | undefined;
}

/** A QEMU process that runs, started by us or found again. */
export class RunningMachine {
  readonly machine: Machine;
  /** The state folder. */
  readonly folder: string;
  /** The QEMU binary it was started with. */
  readonly binary: string;
  readonly identity: ProcessIdentity;
  /** The monitor for ordinary commands. */
  readonly qmp: QmpClient;
  readonly version: QemuVersion;
  /** The versioned machine type that `pc` or `q35` stands for in this QEMU, which the other side must have too. */
  readonly machineType: string;
  /** QEMU's own log. */
  readonly logPath: string;
  readonly serialLogPath: string;
  readonly #child: ChildProcess | undefined;
  readonly #released = new AbortController();
  #exit: Promise<MachineExit> | undefined;
  #shutdown: ShutdownData | null = null;

  constructor(parts: RunningMachineParts) {
    this.machine = parts.machine;
    this.folder = parts.folder;
    this.binary = parts.binary;
    this.identity = parts.identity;
    this.qmp = parts.qmp;
    this.version = parts.version;
    this.machineType = parts.machineType;
    this.#child = parts.child;
    const { log, serialLog } = statePaths(parts.folder);
    this.logPath = log;
    this.serialLogPath = serialLog;
    this.qmp.on("event", (event) => {
      if (isEvent(event, "SHUTDOWN")) this.#shutdown = event.data;
    });
  }

  get name(): string {
    return this.machine.name;
  }

  get pid(): number {
    return this.identity.pid;
  }

  /** Whether the process runs at this moment. */
  get runs(): boolean {
    return processRuns(this.identity);
  }

  /** The unix socket of a channel of the machine file. @throws GodwitError `GODWIT_NO_CHANNEL` */
  channelPath(name: string): string {
    const index = this.machine.channels.findIndex((channel) => channel.name === name);
    if (index !== -1) return channelSocket(this.folder, index);
    throw new GodwitError("GODWIT_NO_CHANNEL", `"${this.name}" has no channel "${name}"`, {
      advice: `add it to channels: in its machine file`,
    });
  }

  /** Opens the second monitor, for out-of-band commands that must not queue behind others. */
  connectOutOfBand(options: QmpConnectOptions = {}): Promise<QmpClient> {
    return QmpClient.connect(statePaths(this.folder).outOfBandSocket, { ...options, outOfBand: true });
  }

  /**
   * Waits until the process is gone, then removes its sockets, pid and memory file. Works for a QEMU that another
   * process started, too.
   * @throws GodwitError `GODWIT_QEMU_RUNS_ON` (only with `timeoutMs`), `GODWIT_ABORTED`, `GODWIT_MACHINE_RELEASED`
   */
  waitForExit(options: WaitOptions = {}): Promise<MachineExit> {
    this.#exit ??= this.#watch();
    return waiting(this.#exit, options, () => {
      return new GodwitError(
        "GODWIT_QEMU_RUNS_ON",
        `QEMU of "${this.name}" (pid ${this.pid}) is still there`,
        {
          advice: `see ${this.logPath}`,
        },
      );
    });
  }

  /**
   * Ends QEMU: `quit`, then SIGTERM, then SIGKILL (a destination that waits for a page ignores the first two).
   * @throws GodwitError `GODWIT_QEMU_RUNS_ON` when even SIGKILL does not end it within 30 s
   */
  async quit(options: { readonly timeoutMs?: number } = {}): Promise<MachineExit> {
    const timeoutMs = options.timeoutMs ?? QUIT_TIMEOUT_MS;
    if (!this.qmp.closed) this.qmp.execute("quit", {}, { timeoutMs }).catch(() => {});
    const gone = (await this.#within(this.qmp.closed ? 0 : timeoutMs)) ?? (await this.#terminate());
    return gone ?? this.kill();
  }

  /** Ends QEMU with SIGKILL: disks are not flushed by QEMU. @throws GodwitError `GODWIT_QEMU_RUNS_ON` */
  kill(): Promise<MachineExit> {
    signalProcess(this.identity, "SIGKILL");
    return this.waitForExit({ timeoutMs: KILL_TIMEOUT_MS });
  }

  /** Lets go of QEMU without ending it: closes the monitor; waits for its exit fail from now on. */
  release(): void {
    this.#released.abort(
      new GodwitError("GODWIT_MACHINE_RELEASED", `"${this.name}" is not watched any more`),
    );
    this.qmp.close();
    this.#child?.removeAllListeners("exit");
  }

  async #terminate(): Promise<MachineExit | null> {
    signalProcess(this.identity, "SIGTERM");
    return this.#within(TERMINATE_TIMEOUT_MS);
  }

  async #within(timeoutMs: number): Promise<MachineExit | null> {
    try {
      return await this.waitForExit({ timeoutMs });
    } catch (error) {
      if (error instanceof GodwitError && error.code === "GODWIT_QEMU_RUNS_ON") return null;
      throw error;
    }
  }

  async #watch(): Promise<MachineExit> {
    const ended = await (this.#child === undefined ? this.#pollForExit() : this.#childExit(this.#child));
    try {
      removeRemainsOf(this.identity, this.folder, this.machine);
    } catch {
      // What can't be removed now is removed by the next start; that QEMU has ended must be told all the same.
    }
    await this.#lastWords();
    this.qmp.close();
    return { ...ended, shutdown: this.#shutdown };
  }

  /** QEMU's last event may still be on its way when the process is gone. */
  #lastWords(): Promise<void> {
    if (this.qmp.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LAST_WORDS_TIMEOUT_MS);
      this.qmp.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #childExit(child: ChildProcess): Promise<Omit<MachineExit, "shutdown">> {
    const status = () => ({ exitCode: child.exitCode, signal: child.signalCode });
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(status());
    return new Promise((resolve, reject) => {
      // Holds this process while somebody waits, as a timer would.
      child.ref();
      child.once("exit", () => resolve(status()));
      this.#onRelease(reject);
    });
  }

  #pollForExit(): Promise<Omit<MachineExit, "shutdown">> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (processRuns(this.identity)) return;
        clearInterval(timer);
        resolve({ exitCode: null, signal: null });
      };
      const timer = setInterval(look, POLL_MS);
      this.qmp.once("close", look);
      this.#onRelease((reason) => {
        clearInterval(timer);
        reject(reason);
      });
      look();
    });
  }

  #onRelease(reject: (reason: unknown) => void): void {
    const { signal } = this.#released;
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  }
}
