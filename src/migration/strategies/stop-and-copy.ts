import type { Strategy } from "./strategy.ts";

/** Stops the guest, moves everything, resumes: the fewest bytes and the longest pause. */
export const stopAndCopy: Strategy = {
  name: "stop-and-copy",
  stopsFirst: true,
  resumesFirst: false,
  postcopy: false,
  order: "ascending",
  start: () => ({
    decide: ({ downtimeLimitMs }) => ({
      action: "permit",
      pagesMs: downtimeLimitMs,
      hurry: false,
      reason: "stop-and-copy stops at once",
    }),
  }),
};
