import { z } from "zod";
import { defineMessage } from "./define.ts";
import { migrationIdField } from "./fields.ts";

/** Ownership passes to the destination. */
export const commit = defineMessage({
  type: "commit",
  code: 13,
  direction: "source-to-destination",
  payload: "none",
  doc: "Ownership passes to the destination. After sending it the source continues the guest only on `commit-refused`.",
  schema: z.strictObject({ migrationId: migrationIdField }),
  examples: [{ migrationId: "m-1" }],
});
