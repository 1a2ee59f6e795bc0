import { rmSync } from "node:fs";
import type { Machine } from "./machine.ts";
import { recordedProcess } from "./machine-record.ts";
import { type ProcessIdentity, processRuns } from "./process-table.ts";
import { machineSockets, memoryFile, statePaths } from "./state-paths.ts";

/** Removes what an ended QEMU leaves: sockets, pid, memory file. The record and the logs stay. */
export function removeRemains(folder: string, machine: Machine): void {
  const { process, pidFile } = statePaths(folder);
  const memory = memoryFile(folder, machine);
  const remains = [
    ...machineSockets(folder, machine),
    ...(memory === null ? [] : [memory]),
    pidFile,
    process,
  ];
  for (const path of remains) rmSync(path, { force: true });
}

/** {@link removeRemains}, unless another QEMU than `ended` has been started in the folder since. */
export function removeRemainsOf(ended: ProcessIdentity, folder: string, machine: Machine): void {
  const now = recordedProcess(statePaths(folder));
  if (now !== null && (now.pid !== ended.pid || now.startTicks !== ended.startTicks || processRuns(now)))
    return;
  removeRemains(folder, machine);
}
