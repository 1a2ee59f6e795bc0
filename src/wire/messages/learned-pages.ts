import { z } from "zod";
import { defineMessage } from "./define.ts";
import { migrationIdField } from "./fields.ts";

/** What the guest asks for first after a move: knowledge that goes where the guest goes. */
export const learnedPages = defineMessage({
  type: "learned-pages",
  code: 25,
  direction: "source-to-destination",
  payload: "required",
  doc: "Pages that the guest asked for first after this and earlier moves, for its next one. Payload: pairs of u32, RAM block and page.",
  schema: z.strictObject({ migrationId: migrationIdField }),
  examples: [{ migrationId: "m-1" }],
});
