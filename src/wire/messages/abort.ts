import { z } from "zod";
import { defineMessage } from "./define.ts";
import { errorRecordField, migrationIdField } from "./fields.ts";

/** One side gives up. */
export const abort = defineMessage({
  type: "abort",
  code: 18,
  direction: "both",
  payload: "none",
  doc: "One side gives up, and why. Before the commit the source continues the guest; the link is closed next.",
  schema: z.strictObject({
    /** Absent while no migration has been offered on this link, as in a refusal of the peer itself. */
    migrationId: migrationIdField.optional(),
    error: errorRecordField,
  }),
  examples: [
    { migrationId: "m-1", error: { code: "GODWIT_CANCELLED", message: "cancelled by the user" } },
    {
      error: { code: "GODWIT_TLS_NOT_A_HOST", message: "an operator's certificate", advice: "use a host's" },
    },
  ],
});
