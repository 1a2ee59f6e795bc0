import { captureOnce, letGoOfHeld, MonitorKeeper } from "../metal/index.ts";
import { adoptMachine } from "../qemu/adopt.ts";
import type { Machine } from "../qemu/machine.ts";
import { hasHugePages } from "../qemu/machine-checks.ts";
import { parseMachineFile } from "../qemu/machine-file.ts";
import { machineWarnings } from "../qemu/machine-warnings.ts";
import type { QmpEvent } from "../qemu/qmp-events.ts";
import type { RunningMachine } from "../qemu/running-machine.ts";
import { startMachine } from "../qemu/start.ts";
import { formatVersion, type QemuVersion } from "../qemu/version.ts";
import type { MachineDescription, MachineDriver, MachineExit, MachineHandle } from "./ports.ts";

/** QEMU answers `query-status` at once unless its main loop is stuck; then nobody should wait long. */
const STATUS_TIMEOUT_MS = 5000;

/** What the agent knows of a machine by its description alone. */
export function describeMachine(machine: Machine, version?: QemuVersion): MachineDescription {
  const { name, memoryBytes, vcpus, accelerator } = machine;
  const warnings = machineWarnings(machine, version).map(({ message, advice }) => `${message}: ${advice}`);
  const hugePages = hasHugePages(machine);
  return { name, memoryBytes, ...(hugePages ? { hugePages } : {}), vcpus, accelerator, warnings };
}

/** The driver of real QEMUs. `qemu` names another binary than the system's own. */
export function qemuDriver(options: { qemu?: string } = {}): MachineDriver<RunningMachine> {
  return {
    parse(text, baseFolder) {
      const machine = parseMachineFile(text, { baseFolder });
      return { ...describeMachine(machine), machine };
    },
    async start({ machine }, folder) {
      const running = await startMachine(machine as Machine, {
        stateFolder: folder,
        ...(options.qemu === undefined ? {} : { qemu: options.qemu }),
      });
      return machineHandle(running);
    },
    async adopt(folder) {
      const running = await adoptMachine(folder, { timeoutMs: STATUS_TIMEOUT_MS });
      if (running === null) return null;
      // A machine that can't go on is there all the same, and paused.
      await letGoOfHeld(running).catch((error: unknown) => process.emitWarning(String(error)));
      return machineHandle(running);
    },
  };
}

/** A running QEMU as the registry holds it. */
export function machineHandle(running: RunningMachine): MachineHandle<RunningMachine> {
  const keeper = MonitorKeeper.start(running);
  const { promise: exited, resolve } = Promise.withResolvers<MachineExit | null>();
  // A machine that is let go of rejects: nobody is told then, since nothing ended.
  running.waitForExit().then(
    ({ exitCode, signal, shutdown }) => {
      keeper?.[Symbol.dispose]();
      const orderly = exitCode === 0 || (exitCode === null && shutdown !== null);
      resolve(orderly ? { code: 0, signal: null } : exitOf(exitCode, signal));
    },
    () => {},
  );
  return {
    description: describeMachine(running.machine, running.version),
    pid: running.pid,
    qemuVersion: formatVersion(running.version),
    logPath: running.logPath,
    native: running,
    exited,
    runs: () => running.runs,
    async guestRuns(signal) {
      const waiting = { timeoutMs: STATUS_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
      return (await running.qmp.execute("query-status", {}, waiting)).running;
    },
    onGuest(listener) {
      const onEvent = ({ name }: QmpEvent) => {
        if (name === "STOP") listener("guest-paused");
        if (name === "RESUME") listener("guest-resumed");
      };
      running.qmp.on("event", onEvent);
      return () => running.qmp.off("event", onEvent);
    },
    async stop() {
      await running.quit();
    },
    captureDevices: () => captureOnce(running),
    release() {
      keeper?.[Symbol.dispose]();
      running.release();
    },
  };
}

/** How a QEMU ended without saying goodbye; of one that is no child of ours the code is not known. */
function exitOf(code: number | null, signal: string | null): MachineExit | null {
  return code === null && signal === null ? null : { code, signal };
}
