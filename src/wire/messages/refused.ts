import { z } from "zod";
import { defineMessage } from "./define.ts";
import { errorRecordField, migrationIdField } from "./fields.ts";

/** The destination does not take the machine. */
export const refused = defineMessage({
  type: "refused",
  code: 4,
  direction: "destination-to-source",
  payload: "none",
  doc: "The destination does not take the machine, and why. Nothing of it is left there.",
  schema: z.strictObject({ migrationId: migrationIdField, error: errorRecordField }),
  examples: [
    {
      migrationId: "m-1",
      error: { code: "GODWIT_VM_EXISTS", message: "a VM named web runs here", side: "destination" },
    },
  ],
});
