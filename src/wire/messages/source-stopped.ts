import { z } from "zod";
import { defineMessage } from "./define.ts";
import { epochMsField, migrationIdField } from "./fields.ts";

/** The guest stands still at the source. */
export const sourceStopped = defineMessage({
  type: "source-stopped",
  code: 9,
  direction: "source-to-destination",
  payload: "none",
  doc: "The guest stands still at the source: the downtime began.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    /** QMP's time of the STOP event, on the source's clock. */
    stoppedAtEpochMs: epochMsField,
  }),
  examples: [{ migrationId: "m-1", stoppedAtEpochMs: 1_790_000_000_000.25 }],
});
