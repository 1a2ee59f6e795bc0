import { z } from "zod";
import { defineMessage } from "./define.ts";
import { cpuSecondsField, epochMsField, migrationIdField } from "./fields.ts";

/** The guest runs at the destination. */
export const running = defineMessage({
  type: "running",
  code: 14,
  direction: "destination-to-source",
  payload: "none",
  doc: "The guest runs at the destination (or is paused there, if its owner had paused it): the downtime ended.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    /** QMP's time of the RESUME event, on the destination's clock. */
    resumedAtEpochMs: epochMsField,
    cpuSeconds: cpuSecondsField,
  }),
  examples: [{ migrationId: "m-1", resumedAtEpochMs: 1_790_000_000_030.5, cpuSeconds: 1.25 }],
});
