import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  realpathSync,
  rmSync,
  statfsSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import { removeRemains } from "./clean-up.ts";
import { commandLine } from "./command-line.ts";
import type { Machine } from "./machine.ts";
import { recordedProcess, writeMachineRecord, writeProcess } from "./machine-record.ts";
import { identifyProcess, type ProcessIdentity, processRuns } from "./process-table.ts";
import { QmpClient } from "./qmp-client.ts";
import { RunningMachine } from "./running-machine.ts";
import { startFailure } from "./start-failure.ts";
import { takeStartLock } from "./start-lock.ts";
import { checkSocketPaths, memoryFile, type StatePaths, statePaths } from "./state-paths.ts";
import { runningVersion } from "./version.ts";
import { abortError, type WaitOptions } from "./waiting.ts";

/** QEMU opens its monitors within 0.2 s; preparing very large memory may take seconds more. */
const START_TIMEOUT_MS = 30_000;
/** How often the monitor is tried until it is there. */
const CONNECT_RETRY_MS = 10;
/** The binary where none is named: the system's own. */
const DEFAULT_BINARY = "qemu-system-x86_64";

/** How to start a machine. */
export interface StartOptions extends WaitOptions {
  /** Where its sockets, records and logs go; made where missing. One machine per folder. */
  readonly stateFolder: string;
  /** Wait for a migration; `migrate-incoming` says where from. */
  readonly incoming?: "defer" | undefined;
  /** Leave the guest paused (`-S`); with `incoming`, also after the migration. */
  readonly paused?: boolean | undefined;
  /** The QEMU binary; default `qemu-system-x86_64` on the PATH. */
  readonly qemu?: string | undefined;
}

/**
 * Starts QEMU detached: it has a session of its own, writes to its log and goes on when this process ends. Resolves
 * when its monitor answers.
 * @throws GodwitError `GODWIT_MACHINE_RUNNING` or `GODWIT_MACHINE_BUSY` when the folder is in use;
 * `GODWIT_SOCKET_PATH`; `GODWIT_FILE_MISSING`; `GODWIT_NO_SPACE`; `GODWIT_QEMU_MISSING`; and from QEMU's last words
 * `GODWIT_IMAGE_LOCKED`, `GODWIT_PORT_TAKEN`, `GODWIT_NO_MEMORY`, `GODWIT_NO_KVM`, `GODWIT_TAP` or
 * `GODWIT_QEMU_START`; `GODWIT_ABORTED`. After any of them no process and no socket is left.
 */
export async function startMachine(machine: Machine, options: StartOptions): Promise<RunningMachine> {
  if (options.signal?.aborted === true) throw abortError(options.signal);
  const folder = preparedFolder(options.stateFolder);
  const paths = statePaths(folder);
  checkSocketPaths(folder, machine);
  checkFiles(machine);
  const unlock = takeStartLock(paths.startLock);
  try {
    const earlier = recordedProcess(paths);
    if (earlier !== null && processRuns(earlier)) throw alreadyRuns(machine, earlier, folder);
    removeRemains(folder, machine);
    try {
      return await launch(machine, paths, options);
    } catch (error) {
      removeRemains(folder, machine);
      throw error;
    }
  } finally {
    unlock();
  }
}

async function launch(machine: Machine, paths: StatePaths, options: StartOptions): Promise<RunningMachine> {
  const { folder } = paths;
  const binary = options.qemu ?? DEFAULT_BINARY;
  const { incoming, paused } = options;
  const argv = commandLine(machine, { folder, incoming, paused, isBlockDevice });
  makeMemoryFile(machine, folder);
  writeMachineRecord(paths, {
    format: 1,
    machine,
    binary,
    arguments: argv,
    startedAt: new Date().toISOString(),
  });
  const log = openSync(paths.log, "a", 0o600);
  const logStart = statSync(paths.log).size;
  let child: ChildProcess;
  try {
    child = spawn(binary, argv, { cwd: folder, detached: true, stdio: ["ignore", log, log] });
  } finally {
    closeSync(log);
  }
  child.unref();
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`does not run: ${error.message}`));
    child.once("exit", (code, signal) => resolve(`ended with ${signal ?? `status ${code}`}`));
  });
  if (child.pid === undefined) {
    const advice = "install QEMU (npm run setup) or name its binary";
    throw new GodwitError("GODWIT_QEMU_MISSING", `${binary} ${await ended}`, {
      advice,
      vmState: "not started",
    });
  }
  try {
    const identity = identifyProcess(child.pid);
    if (identity === null) throw startFailure(machine.name, await ended, paths.log, logStart);
    writeProcess(paths, identity);
    const failed = ended.then((how) => {
      throw startFailure(machine.name, how, paths.log, logStart);
    });
    failed.catch(() => {});
    const { timeoutMs = START_TIMEOUT_MS } = options;
    const limit = AbortSignal.timeout(timeoutMs);
    const signal = options.signal === undefined ? limit : AbortSignal.any([options.signal, limit]);
    const opened = openMonitor(machine, paths, binary, identity, child, signal);
    // Whichever comes first; a monitor that opens while QEMU ends is not left behind.
    opened.catch(() => {});
    return await Promise.race([opened, failed]).catch((error) => {
      if (limit.aborted && options.signal?.aborted !== true) {
        throw startFailure(machine.name, `did not answer within ${timeoutMs} ms`, paths.log, logStart);
      }
      throw error;
    });
  } catch (error) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await ended;
    }
    throw asGodwitError(error, "GODWIT_QEMU_START");
  }
}

async function openMonitor(
  machine: Machine,
  paths: StatePaths,
  binary: string,
  identity: ProcessIdentity,
  child: ChildProcess | undefined,
  signal: AbortSignal,
): Promise<RunningMachine> {
  const qmp = await connectWhenThere(paths.qmpSocket, signal);
  try {
    return await describeRunning({ machine, folder: paths.folder, binary, identity, child }, qmp, signal);
  } catch (error) {
    qmp.close();
    throw error;
  }
}

/** Completes the description of a running QEMU with what only it knows. */
export async function describeRunning(
  known: {
    machine: Machine;
    folder: string;
    binary: string;
    identity: ProcessIdentity;
    child?: ChildProcess | undefined;
  },
  qmp: QmpClient,
  signal?: AbortSignal,
): Promise<RunningMachine> {
  const [version, type] = await Promise.all([
    runningVersion(qmp, { signal }),
    qmp.execute("qom-get", { path: "/machine", property: "type" }, { signal }),
  ]);
  return new RunningMachine({ ...known, qmp, version, machineType: String(type).replace(/-machine$/, "") });
}

async function connectWhenThere(path: string, signal: AbortSignal): Promise<QmpClient> {
  for (;;) {
    try {
      return await QmpClient.connect(path, { signal, timeoutMs: Number.POSITIVE_INFINITY });
    } catch (error) {
      if (!(error instanceof GodwitError) || error.code !== "GODWIT_QMP_CONNECT" || signal.aborted)
        throw error;
    }
    await sleep(CONNECT_RETRY_MS, undefined, { signal }).catch(() => {
      throw abortError(signal);
    });
  }
}

function preparedFolder(folder: string): string {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return realpathSync(folder);
  } catch (error) {
    throw asGodwitError(error, "GODWIT_STATE_FOLDER", { advice: "name a state folder that can be written" });
  }
}

function checkFiles(machine: Machine): void {
  const named = [
    ["kernel", machine.kernel],
    ["initrd", machine.initrd],
    ...machine.disks.map((disk, index) => [`disks.${index}.path`, disk.path] as const),
  ] as const;
  for (const [key, path] of named) {
    if (path === undefined || existsSync(path)) continue;
    throw new GodwitError(
      "GODWIT_FILE_MISSING",
      `${path} does not exist on this host (${key} of "${machine.name}")`,
      {
        vmState: "not started",
        advice: "both hosts need the same kernel and disks under the same paths",
      },
    );
  }
}

/**
 * QEMU would make the file readable by everybody. Its size must fit now: a tmpfs that runs full later kills QEMU.
 */
function makeMemoryFile(machine: Machine, folder: string): void {
  const path = memoryFile(folder, machine);
  if (path === null) return;
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    if (bavail * bsize < machine.memoryBytes) {
      throw new GodwitError(
        "GODWIT_NO_SPACE",
        `${dirname(path)} has ${bavail * bsize} bytes left, the memory of "${machine.name}" needs ${machine.memoryBytes}`,
        { vmState: "not started", advice: "use another directory, or memoryBackend: {kind: private}" },
      );
    }
    rmSync(path, { force: true });
    const descriptor = openSync(path, "wx", 0o600);
    ftruncateSync(descriptor, machine.memoryBytes);
    closeSync(descriptor);
  } catch (error) {
    throw asGodwitError(error, "GODWIT_MEMORY_FILE", { vmState: "not started" });
  }
}

function isBlockDevice(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isBlockDevice() === true;
}

function alreadyRuns(machine: Machine, earlier: ProcessIdentity, folder: string): GodwitError {
  return new GodwitError(
    "GODWIT_MACHINE_RUNNING",
    `"${machine.name}" already runs as process ${earlier.pid}`,
    {
      advice: `end it first, or use another state folder than ${folder}`,
    },
  );
}
