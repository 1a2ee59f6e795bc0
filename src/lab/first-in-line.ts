import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";

/** The highest but one that a process can have: the very highest is the kernel's own threads'. */
const NICENESS = -19;

/**
 * Has a process that leads a session run before the rest of the lab: what a client sees must not depend on how busy that
 * is. Niceness counts within a session only where the kernel groups processes by session, and the session's own counts
 * between them (sched(7), autogroup). Only root may; without it nothing changes.
 * @param pid this process if absent
 */
export function runFirst(pid = process.pid): void {
  try {
    setPriority(pid, NICENESS);
    writeFileSync(`/proc/${pid}/autogroup`, String(NICENESS));
  } catch {
    // The client then sees the lab's own delays, too.
  }
}
