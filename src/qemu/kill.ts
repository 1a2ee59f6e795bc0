import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../base/errors.ts";
import { inspectStateFolder } from "./adopt.ts";
import { removeRemainsOf } from "./clean-up.ts";
import { KILL_TIMEOUT_MS, processRuns, signalProcess } from "./process-table.ts";
import { realFolder } from "./state-paths.ts";

/** There is no event for the end of a process that is not our child. */
const LOOK_EVERY_MS = 10;

/**
 * Ends the QEMU of a state folder, if one runs, with SIGKILL, whether or not it can be spoken to: one whose guest never
 * rests may not answer its monitor for ever. Removes its sockets, pid and memory file.
 * @throws GodwitError `GODWIT_QEMU_RUNS_ON`, `GODWIT_MACHINE_STATE`
 */
export async function killMachine(stateFolder: string): Promise<void> {
  const folder = realFolder(stateFolder);
  const found = inspectStateFolder(folder);
  if (found.state !== "running" && found.state !== "stale") return;
  const { identity, machine } = found;
  signalProcess(identity, "SIGKILL");
  const untilMs = performance.now() + KILL_TIMEOUT_MS;
  while (processRuns(identity)) {
    if (performance.now() > untilMs) {
      throw new GodwitError("GODWIT_QEMU_RUNS_ON", `QEMU (pid ${identity.pid}) is still there`);
    }
    await sleep(LOOK_EVERY_MS);
  }
  removeRemainsOf(identity, folder, machine);
}
