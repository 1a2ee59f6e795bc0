import { setPriority } from "node:os";

/** The highest but one that a process can have: the very highest is the kernel's own threads'. */
const NICENESS = -19;

/**
 * Has a process run before the rest of the lab: what a client sees must not depend on how busy that is. Only root may;
 * without it nothing changes.
 * @param pid this process if absent
 */
export function runFirst(pid = 0): void {
  try {
    setPriority(pid, NICENESS);
  } catch {
    // The client then sees the lab's own delays, too.
  }
}
