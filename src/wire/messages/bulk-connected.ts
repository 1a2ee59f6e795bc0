import { z } from "zod";
import { defineMessage } from "./define.ts";
import { migrationIdField } from "./fields.ts";

/** Every bulk connection stands. */
export const bulkConnected = defineMessage({
  type: "bulk-connected",
  code: 7,
  direction: "destination-to-source",
  payload: "none",
  doc: "Every bulk connection stands and its receiver is ready to place pages.",
  schema: z.strictObject({ migrationId: migrationIdField }),
  examples: [{ migrationId: "m-1" }],
});
