import { z } from "zod";
import { defineMessage } from "./define.ts";
import { countField, migrationIdField } from "./fields.ts";

/** The destination lacks nothing any more. */
export const remainderComplete = defineMessage({
  type: "remainder-complete",
  code: 24,
  direction: "destination-to-source",
  payload: "none",
  doc: "Every page is placed and the destination's QEMU has ended its post-copy: what it asked for and how long it waited.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    /** Requests of the destination's QEMU for pages that it lacked. */
    faults: countField,
    /** Requests answered within 2^i microseconds and not within 2^(i-1), by i. */
    latencyCounts: z.array(countField).max(64),
    p50Us: z.number().nonnegative(),
    p99Us: z.number().nonnegative(),
    /** Time with at least one request unanswered. */
    stalledMs: z.number().nonnegative(),
  }),
  examples: [
    { migrationId: "m-1", faults: 3, latencyCounts: [0, 1, 2], p50Us: 3, p99Us: 4, stalledMs: 0.01 },
  ],
});
