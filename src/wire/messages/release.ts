import { z } from "zod";
import { defineMessage } from "./define.ts";
import { migrationIdField } from "./fields.ts";

/** The source has let go of the guest. */
export const release = defineMessage({
  type: "release",
  code: 16,
  direction: "source-to-destination",
  payload: "none",
  doc: "The source has ended its QEMU and everything of the guest there: the destination is alone.",
  schema: z.strictObject({ migrationId: migrationIdField }),
  examples: [{ migrationId: "m-1" }],
});
