import { z } from "zod";
import { defineMessage } from "./define.ts";
import { errorRecordField, migrationIdField } from "./fields.ts";

/** The destination could not continue the guest and never will. */
export const commitRefused = defineMessage({
  type: "commit-refused",
  code: 15,
  direction: "destination-to-source",
  payload: "none",
  doc: "The destination could not continue the guest and has given it up for good: the source may continue it.",
  schema: z.strictObject({ migrationId: migrationIdField, error: errorRecordField }),
  examples: [
    { migrationId: "m-1", error: { code: "GODWIT_QMP_COMMAND", message: "Failed to get write lock" } },
  ],
});
