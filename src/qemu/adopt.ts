import { GodwitError } from "../base/errors.ts";
import type { WaitOptions } from "../base/waiting.ts";
import { removeRemainsOf } from "./clean-up.ts";
import { describeRunning } from "./describe-running.ts";
import type { Machine } from "./machine.ts";
import { readMachineRecord, recordedProcess } from "./machine-record.ts";
import { type ProcessIdentity, processRuns } from "./process-table.ts";
import { QmpClient } from "./qmp-client.ts";
import type { RunningMachine } from "./running-machine.ts";
import { realFolder, statePaths } from "./state-paths.ts";

/** What a state folder says about its machine. */
export type StateFolder =
  /** Nothing was ever started here. */
  | { readonly state: "empty" }
  /** That process runs. */
  | {
      readonly state: "running";
      readonly machine: Machine;
      readonly binary: string;
      readonly identity: ProcessIdentity;
    }
  /** Ended in an orderly way, and what it left is removed. */
  | { readonly state: "gone"; readonly machine: Machine }
  /** The process is gone, but its sockets and pid are still there: nobody saw its end. */
  | { readonly state: "stale"; readonly machine: Machine; readonly identity: ProcessIdentity };

/**
 * Tells what became of the machine in a state folder, and changes nothing.
 * @throws GodwitError `GODWIT_MACHINE_STATE` when its files can't be understood
 */
export function inspectStateFolder(stateFolder: string): StateFolder {
  const paths = statePaths(realFolder(stateFolder));
  const record = readMachineRecord(paths);
  if (record === null) return { state: "empty" };
  const { machine, binary } = record;
  const identity = recordedProcess(paths);
  if (identity === null) return { state: "gone", machine };
  return processRuns(identity)
    ? { state: "running", machine, binary, identity }
    : { state: "stale", machine, identity };
}

/**
 * Finds the machine that was started in a state folder, by this process or one that has ended; `null` when it is not
 * running any more, and then what it left is removed.
 * @throws GodwitError `GODWIT_MACHINE_UNREACHABLE` when the process runs but its monitor doesn't answer;
 * `GODWIT_MACHINE_STATE`, `GODWIT_ABORTED`
 */
export async function adoptMachine(
  stateFolder: string,
  options: WaitOptions = {},
): Promise<RunningMachine | null> {
  const folder = realFolder(stateFolder);
  const found = inspectStateFolder(folder);
  if (found.state === "stale") removeRemainsOf(found.identity, folder, found.machine);
  if (found.state !== "running") return null;
  const { machine, binary, identity } = found;
  try {
    const qmp = await QmpClient.connect(statePaths(folder).qmpSocket, options);
    return await describeRunning({ machine, folder, binary, identity }, qmp, options.signal);
  } catch (error) {
    if (!processRuns(identity)) {
      removeRemainsOf(identity, folder, machine);
      return null;
    }
    if (error instanceof GodwitError && error.code === "GODWIT_ABORTED") throw error;
    const message = `"${machine.name}" runs as process ${identity.pid} but cannot be spoken to: ${(error as Error).message}`;
    throw new GodwitError("GODWIT_MACHINE_UNREACHABLE", message, {
      vmState: "running, out of control",
      advice: "end whatever else holds its monitor, or end the process",
      cause: error,
    });
  }
}
