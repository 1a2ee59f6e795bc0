import { z } from "zod";
import { defineMessage } from "./define.ts";
import { epochMsField, migrationIdField } from "./fields.ts";

/** The destination could run the guest now. */
export const prepared = defineMessage({
  type: "prepared",
  code: 12,
  direction: "destination-to-source",
  payload: "none",
  doc: "Pages are placed and the device state is loaded: the destination waits for the commit. Nothing is decided.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    pagesCompleteAtEpochMs: epochMsField,
    loadedAtEpochMs: epochMsField,
    /** How long rebuilding opaque devices took, which comes before loaded; 0 where there are none. */
    rebuildMs: z.number().finite().nonnegative(),
  }),
  examples: [
    {
      migrationId: "m-1",
      pagesCompleteAtEpochMs: 1_790_000_000_010,
      loadedAtEpochMs: 1_790_000_000_020,
      rebuildMs: 0,
    },
  ],
});
