import { readFileSync } from "node:fs";

/** A killed process has to give back its memory before it is gone: seconds for very large guests. */
export const KILL_TIMEOUT_MS = 30_000;

/** Names one process for good: a pid alone is given out again. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks from boot to the process's start. */
  readonly startTicks: number;
  /** Which boot those ticks count from. */
  readonly bootId: string;
}

/** The identity of a process that runs now, `null` where there is none or it has ended but nobody took its status. */
export function identifyProcess(pid: number): ProcessIdentity | null {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The name in parentheses may hold anything, parentheses too; after it come the state and then numbers.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  if (state === "Z" || state === "X") return null;
  return { pid, startTicks: Number(fields[19]), bootId: bootId() };
}

/** True while that very process runs. */
export function processRuns(identity: ProcessIdentity): boolean {
  const now = identifyProcess(identity.pid);
  return now !== null && now.startTicks === identity.startTicks && now.bootId === identity.bootId;
}

/** Sends a signal to that very process; false when it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!processRuns(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** The arguments of a process, empty where it is gone or may not be seen. */
export function processArguments(pid: number): string[] {
  return (readText(`/proc/${pid}/cmdline`) ?? "").split("\0").slice(0, -1);
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}
