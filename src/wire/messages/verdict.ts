import { z } from "zod";
import { defineMessage } from "./define.ts";
import { epochMsField, migrationIdField } from "./fields.ts";

/** What the destination's journal says about a migration. */
export const verdict = defineMessage({
  type: "verdict",
  code: 20,
  direction: "destination-to-source",
  payload: "none",
  doc: "The answer to `inquire`, from the destination's journal.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    /** `unknown`: no journal; `not-committed`: given up for good; `committed`: owner, not yet running; `running`. */
    verdict: z.enum(["unknown", "not-committed", "committed", "running"]),
    resumedAtEpochMs: epochMsField.optional(),
  }),
  examples: [
    { migrationId: "m-1", verdict: "not-committed" },
    { migrationId: "m-1", verdict: "running", resumedAtEpochMs: 1_790_000_000_030 },
  ],
});
