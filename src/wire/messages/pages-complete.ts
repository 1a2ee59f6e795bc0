import { z } from "zod";
import { defineMessage } from "./define.ts";
import { countField, migrationIdField } from "./fields.ts";

/** Everything that must be there before the destination loads the device state has been sent. */
export const pagesComplete = defineMessage({
  type: "pages-complete",
  code: 11,
  direction: "source-to-destination",
  payload: "none",
  doc: "All that the destination lacked has been sent: the totals that each connection must have seen.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    /** Cumulative, one entry per bulk connection in the order of `bulk-offer`'s ports. */
    connections: z
      .array(z.strictObject({ batches: countField, pages: countField, zeroPages: countField }))
      .min(1)
      .max(17),
  }),
  examples: [
    {
      migrationId: "m-1",
      connections: [
        { batches: 10, pages: 2560, zeroPages: 12 },
        { batches: 0, pages: 0, zeroPages: 0 },
      ],
    },
  ],
});
