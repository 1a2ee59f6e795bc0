import { z } from "zod";
import { defineMessage, type MessageOf } from "./define.ts";
import { migrationIdField } from "./fields.ts";

/** Devices that don't travel in the device state. */
export const opaqueDevices = defineMessage({
  type: "opaque-devices",
  code: 26,
  direction: "source-to-destination",
  payload: "required",
  doc: "Devices that the destination rebuilds by itself; they are not in the device state. Payload: what was read out of them (docs/metal.md).",
  schema: z.strictObject({ migrationId: migrationIdField }),
  examples: [{ migrationId: "m-1" }],
});

export type OpaqueDevices = MessageOf<typeof opaqueDevices>;
