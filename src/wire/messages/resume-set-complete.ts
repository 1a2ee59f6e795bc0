import { z } from "zod";
import { defineMessage } from "./define.ts";
import { countField, migrationIdField } from "./fields.ts";

/** The guest is to resume before all of its pages are there. */
export const resumeSetComplete = defineMessage({
  type: "resume-set-complete",
  code: 23,
  direction: "source-to-destination",
  payload: "none",
  doc: "The resume set has been sent, `discards` named what is stale, the rest follows after the guest resumed: sent in place of `pages-complete`, which then ends the remainder.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    /** Cumulative, one entry per bulk connection in the order of `bulk-offer`'s ports. */
    connections: z
      .array(z.strictObject({ batches: countField, pages: countField, zeroPages: countField }))
      .min(1)
      .max(17),
    /** Pages that the destination still lacks. */
    owedPages: countField,
  }),
  examples: [
    { migrationId: "m-1", connections: [{ batches: 10, pages: 2560, zeroPages: 12 }], owedPages: 51_200 },
  ],
});
