import { setPriority } from "node:os";

/** The niceness of bulk work while a running guest waits for pages: half of a guest's processor time at most. */
const BULK_NICENESS = 10;

/**
 * From now on this thread's work waits for others': once the guest runs without all of its pages, what it asks for,
 * and the guest itself, come before what is pushed. On Linux the calling thread's niceness alone changes.
 */
export function yieldToFaults(): void {
  try {
    setPriority(0, BULK_NICENESS);
  } catch {
    // A system that forbids it leaves faults and push side by side.
  }
}
