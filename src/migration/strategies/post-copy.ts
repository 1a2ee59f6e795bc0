import type { Strategy } from "./strategy.ts";

/**
 * Stops the guest as soon as QEMU has named its pages, resumes it with hardly any of them, and serves what it asks
 * for while the rest is pushed (Hines and Gopalan 2009): the surest end, and the most faults. Each page goes once.
 */
export const postCopy: Strategy = {
  name: "post-copy",
  stopsFirst: false,
  resumesFirst: true,
  postcopy: true,
  order: "cold-first",
  start: () => ({ decide: () => ({ action: "stop", hurry: false, reason: "post-copy resumes first" }) }),
};
