import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../base/errors.ts";
import { abortError } from "../base/waiting.ts";
import { commandLine } from "./command-line.ts";
import { describeRunning } from "./describe-running.ts";
import { DOORBELL_DESCRIPTOR, makeDoorbell } from "./doorbell.ts";
import type { Machine } from "./machine.ts";
import { writeMachineRecord, writeProcess } from "./machine-record.ts";
import { identifyProcess } from "./process-table.ts";
import { QmpClient } from "./qmp-client.ts";
import type { RunningMachine } from "./running-machine.ts";
import { startFailure } from "./start-failure.ts";
import { statePaths } from "./state-paths.ts";

/** How often the monitor is tried until it is there. */
const CONNECT_RETRY_MS = 10;
/** A QEMU that closes its monitor while it starts is about to end; giving back its memory takes a moment. */
const ENDING_MS = 5_000;

/** What to launch. */
export interface Launch {
  readonly machine: Machine;
  /** The state folder, which exists. */
  readonly folder: string;
  readonly binary: string;
  readonly incoming: "defer" | undefined;
  readonly paused: boolean | undefined;
}

/** How long a launch may take. */
export interface LaunchLimits {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
}

/** Starts the process and waits for its monitor; when that fails, the process is gone. See `startMachine`. */
export async function launch(what: Launch, limits: LaunchLimits): Promise<RunningMachine> {
  const { machine, folder, binary } = what;
  const paths = statePaths(folder);
  const argv = commandLine(machine, { ...what, isBlockDevice });
  const startedAt = new Date().toISOString();
  writeMachineRecord(paths, { format: 1, machine, binary, arguments: argv, startedAt });
  using doorbell = machine.doorbell ? await makeDoorbell() : null;
  const { child, logStart } = spawnDetached(binary, argv, folder, paths.log, doorbell?.socket ?? null);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`does not run: ${error.message}`));
    child.once("exit", (code, signal) => resolve(`ended with ${signal ?? `status ${code}`}`));
  });
  const failure = (how: string) => startFailure(machine.name, how, paths.log, logStart);
  if (child.pid === undefined) {
    throw new GodwitError("GODWIT_QEMU_MISSING", `${binary} ${await ended}`, {
      advice: "install QEMU (npm run setup) or name its binary",
    });
  }
  const late = AbortSignal.timeout(limits.timeoutMs);
  const over = new AbortController();
  const signal = AbortSignal.any([
    late,
    over.signal,
    ...(limits.signal === undefined ? [] : [limits.signal]),
  ]);
  try {
    const identity = identifyProcess(child.pid);
    if (identity === null) throw failure(await ended);
    writeProcess(paths, identity);
    const opened = connectWhenThere(paths.qmpSocket, signal).then((qmp) => {
      return describeRunning({ machine, folder, binary, identity, child }, qmp, signal);
    });
    const failed = ended.then((how) => {
      throw failure(how);
    });
    const running = await Promise.race([opened, failed]);
    // Only now: while it starts, its end may be all that this process waits for.
    child.unref();
    return running;
  } catch (error) {
    over.abort();
    const stopped = limits.signal?.aborted === true || late.aborted;
    // The monitor may close a moment before the process ends, and only the log says why.
    const how = stopped ? null : await Promise.race([ended, sleep(ENDING_MS, null, { ref: false })]);
    if (how !== null) throw failure(how);
    child.kill("SIGKILL");
    await ended;
    if (limits.signal?.aborted === true) throw abortError(limits.signal);
    throw late.aborted ? failure(`did not answer within ${limits.timeoutMs} ms`) : error;
  }
}

function spawnDetached(
  binary: string,
  argv: readonly string[],
  folder: string,
  logPath: string,
  doorbell: number | null,
): { child: ChildProcess; logStart: number } {
  const log = openSync(logPath, "a", 0o600);
  try {
    const logStart = fstatSync(log).size;
    const inherited: (number | "ignore")[] = ["ignore", log, log];
    if (doorbell !== null) inherited[DOORBELL_DESCRIPTOR] = doorbell;
    const child = spawn(binary, argv, { cwd: folder, detached: true, stdio: inherited });
    return { child, logStart };
  } finally {
    closeSync(log);
  }
}

async function connectWhenThere(path: string, signal: AbortSignal): Promise<QmpClient> {
  for (;;) {
    try {
      return await QmpClient.connect(path, { signal, timeoutMs: Number.POSITIVE_INFINITY });
    } catch (error) {
      if (!(error instanceof GodwitError) || error.code !== "GODWIT_QMP_CONNECT" || signal.aborted)
        throw error;
    }
    await sleep(CONNECT_RETRY_MS, undefined, { signal });
  }
}

function isBlockDevice(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isBlockDevice() === true;
}
