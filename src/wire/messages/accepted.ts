import { z } from "zod";
import { defineMessage } from "./define.ts";
import { migrationIdField, nameField, versionField } from "./fields.ts";

/** The destination takes the machine. */
export const accepted = defineMessage({
  type: "accepted",
  code: 3,
  direction: "destination-to-source",
  payload: "none",
  doc: "The destination takes the machine: its QEMU is started and waits for the stream.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    qemuVersion: versionField,
    destinationName: nameField,
    /** The destination's QEMU can run the guest before all of its pages are there (user faults, `postcopy-ram`). */
    postcopy: z.boolean(),
  }),
  examples: [{ migrationId: "m-1", qemuVersion: "10.0.2", destinationName: "beta", postcopy: true }],
});
