import { z } from "zod";
import { defineMessage } from "./define.ts";
import { migrationIdField } from "./fields.ts";

/** A source in doubt asks what the destination's journal says. */
export const inquire = defineMessage({
  type: "inquire",
  code: 19,
  direction: "source-to-destination",
  payload: "none",
  doc: "A source in doubt (the link was cut after `commit`) asks what the destination's journal says.",
  schema: z.strictObject({ migrationId: migrationIdField }),
  examples: [{ migrationId: "m-1" }],
});
