import { z } from "zod";
import { defineMessage } from "./define.ts";
import { migrationIdField } from "./fields.ts";

/** Pages that were sent and are stale: the destination is to forget them before the guest can see them. */
export const discards = defineMessage({
  type: "discards",
  code: 22,
  direction: "source-to-destination",
  payload: "required",
  doc: "Pages of one RAM block that were sent and have changed since. Payload: pairs of u32, first page and count.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    /** Index of the RAM block in `stream-head`. */
    block: z.int().min(0).max(1023),
  }),
  examples: [{ migrationId: "m-1", block: 0 }],
});
