import { z } from "zod";
import { defineMessage } from "./define.ts";
import { countField, cpuSecondsField, migrationIdField } from "./fields.ts";

/** The last message of a migration. */
export const released = defineMessage({
  type: "released",
  code: 17,
  direction: "destination-to-source",
  payload: "none",
  doc: "The last message of a migration: the destination's own figures for the report.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    cpuSeconds: cpuSecondsField,
    receivedBytes: countField,
  }),
  examples: [{ migrationId: "m-1", cpuSeconds: 2.5, receivedBytes: 123_456_789 }],
});
