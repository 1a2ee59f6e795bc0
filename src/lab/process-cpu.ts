import { readdirSync, readFileSync } from "node:fs";

/** Ticks per second of /proc's counters: a constant of Linux's user interface, whatever the kernel's own rate. */
const TICKS_PER_SECOND = 100;

/**
 * Processor seconds of a process and its children, those that have ended included; QEMUs in sessions of their own
 * are not among them. 0 when the process is gone.
 */
export function processorSeconds(pid: number): number {
  const parents = new Map<number, number[]>();
  const ticks = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = readStat(Number(entry));
    if (stat === null) continue;
    ticks.set(stat.pid, stat.ticks);
    if (stat.session === stat.pid && stat.pid !== pid) continue;
    parents.set(stat.parent, [...(parents.get(stat.parent) ?? []), stat.pid]);
  }
  let sum = 0;
  const open = [pid];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    sum += ticks.get(next) ?? 0;
    open.push(...(parents.get(next) ?? []));
  }
  return sum / TICKS_PER_SECOND;
}

function readStat(pid: number): { pid: number; parent: number; session: number; ticks: number } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  // The name in parentheses may hold blanks and parentheses itself; the third field follows its last one.
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const [, parent = 0, , session = 0] = fields;
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15);
  return { pid, parent, session, ticks: user + system + endedUser + endedSystem };
}
