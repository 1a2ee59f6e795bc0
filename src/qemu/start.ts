import { mkdirSync, realpathSync } from "node:fs";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import { abortError, type WaitOptions } from "../base/waiting.ts";
import { removeRemains } from "./clean-up.ts";
import { launch } from "./launch.ts";
import type { Machine } from "./machine.ts";
import { recordedProcess } from "./machine-record.ts";
import { type ProcessIdentity, processRuns } from "./process-table.ts";
import type { RunningMachine } from "./running-machine.ts";
import { checkFiles, checkHugePages, makeMemoryFile } from "./start-checks.ts";
import { takeStartLock } from "./start-lock.ts";
import { checkSocketPaths, statePaths } from "./state-paths.ts";

/** QEMU opens its monitors within 0.2 s; preparing very large memory may take seconds more. */
const START_TIMEOUT_MS = 30_000;
/** The binary where none is named: the system's own. */
const DEFAULT_BINARY = "qemu-system-x86_64";

/** How to start a machine. `timeoutMs` defaults to 30 s. */
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
 * `GODWIT_STATE_FOLDER`, `GODWIT_SOCKET_PATH`, `GODWIT_FILE_MISSING`, `GODWIT_MEMORY_FILE`, `GODWIT_NO_SPACE`,
 * `GODWIT_QEMU_MISSING`; from QEMU's last words `GODWIT_IMAGE_LOCKED`, `GODWIT_PORT_TAKEN`, `GODWIT_NO_MEMORY`,
 * `GODWIT_NO_KVM`, `GODWIT_TAP` or `GODWIT_QEMU_START`; `GODWIT_ABORTED`. After any of them no process and no socket
 * of this start is left.
 */
export async function startMachine(machine: Machine, options: StartOptions): Promise<RunningMachine> {
  const { signal, incoming, paused, qemu = DEFAULT_BINARY, timeoutMs = START_TIMEOUT_MS } = options;
  if (signal?.aborted === true) throw abortError(signal);
  const folder = preparedFolder(options.stateFolder);
  const paths = statePaths(folder);
  checkSocketPaths(folder, machine);
  checkFiles(machine);
  checkHugePages(machine);
  const unlock = takeStartLock(paths.startLock);
  try {
    const earlier = recordedProcess(paths);
    if (earlier !== null && processRuns(earlier)) throw alreadyRuns(machine, earlier, folder);
    removeRemains(folder, machine);
    try {
      makeMemoryFile(machine, folder);
      return await launch({ machine, folder, binary: qemu, incoming, paused }, { signal, timeoutMs });
    } catch (error) {
      removeRemains(folder, machine);
      throw asGodwitError(error, "GODWIT_QEMU_START", { vmState: "not started" });
    }
  } finally {
    unlock();
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

function alreadyRuns(machine: Machine, earlier: ProcessIdentity, folder: string): GodwitError {
  return new GodwitError(
    "GODWIT_MACHINE_RUNNING",
    `"${machine.name}" already runs as process ${earlier.pid}`,
    {
      advice: `end it first, or use another state folder than ${folder}`,
    },
  );
}
