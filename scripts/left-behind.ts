import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** A process that outlived the run that started it. */
export interface LeftBehind {
  readonly pid: number;
  readonly command: string;
}

/** The variable by which every process that a run started is known, whoever its parent is by now. */
export const RUN_MARK = "GODWIT_CHECK_RUN";

/** What was told to end may take this long: a QEMU that syncs its images. Looked at again and again meanwhile. */
const GRACE_MS = 5_000;
const LOOK_INTERVAL_MS = 100;

/**
 * The processes that carry this run's mark in their environment, this one aside, once those that are just ending have
 * ended. Only processes whose environment may be read are seen: one's own, or all for root.
 */
export async function leftBehind(mark: string, graceMs = GRACE_MS): Promise<LeftBehind[]> {
  const untilMs = performance.now() + graceMs;
  for (;;) {
    const found = marked(`${RUN_MARK}=${mark}`);
    if (found.length === 0 || performance.now() >= untilMs) return found;
    await delay(LOOK_INTERVAL_MS);
  }
}

/** Ends processes by their pids at once; those that are gone already are none of its business. */
export function endAll(processes: readonly LeftBehind[]): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

function marked(entry: string): LeftBehind[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid)
    .flatMap((pid) => {
      const environment = textOf(`/proc/${pid}/environ`).split("\0");
      if (!environment.includes(entry)) return [];
      return [{ pid, command: textOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim() }];
    });
}

/** Empty of a process that is gone, of a zombie, and of one that is not ours. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
