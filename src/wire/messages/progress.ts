import { z } from "zod";
import { defineMessage, type MessageOf } from "./define.ts";
import { countField, migrationIdField } from "./fields.ts";

/** How far the destination is. */
export const progress = defineMessage({
  type: "progress",
  code: 8,
  direction: "destination-to-source",
  payload: "none",
  doc: "How far the destination is, sent a few times a second. For display; no decision rests on it.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    placedPages: countField,
    placedZeroPages: countField,
    receivedBytes: countField,
  }),
  examples: [{ migrationId: "m-1", placedPages: 1000, placedZeroPages: 20, receivedBytes: 1_234_567 }],
});

export type Progress = MessageOf<typeof progress>;
