import type { QmpClient } from "./qmp-client.ts";
import { RunningMachine, type RunningMachineParts } from "./running-machine.ts";
import { runningVersion } from "./version.ts";

/** Completes the description of a running QEMU with what only it knows; closes its monitor when that fails. */
export async function describeRunning(
  known: Omit<RunningMachineParts, "qmp" | "version" | "machineType">,
  qmp: QmpClient,
  signal?: AbortSignal,
): Promise<RunningMachine> {
  try {
    const [version, type] = await Promise.all([
      runningVersion(qmp, { signal }),
      qmp.execute("qom-get", { path: "/machine", property: "type" }, { signal }),
    ]);
    return new RunningMachine({ ...known, qmp, version, machineType: String(type).replace(/-machine$/, "") });
  } catch (error) {
    qmp.close();
    throw error;
  }
}
