import { z } from "zod";
import { defineMessage } from "./define.ts";
import { migrationIdField } from "./fields.ts";

/** One chunk of the device state. */
export const deviceState = defineMessage({
  type: "device-state",
  code: 10,
  direction: "source-to-destination",
  payload: "required",
  doc: "One chunk of the device state. Payload: the bytes of QEMU's device sections, verbatim, in order.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    /** 0, 1, 2 …; chunks of 4 MiB carry the largest device state the stream reader takes (64 MiB) in 16. */
    index: z.int().min(0).max(65_535),
    last: z.boolean(),
  }),
  examples: [
    { migrationId: "m-1", index: 0, last: false },
    { migrationId: "m-1", index: 1, last: true },
  ],
});
