import { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import { shadowRecordSchema } from "./monitor.ts";

const stateSchema = z.strictObject({
  format: z.literal(1),
  /** What was read out of each device. */
  devices: z.record(z.string().max(64), z.unknown()),
  /** What the monitor knows, for the next move. */
  shadows: shadowRecordSchema,
});

/** The devices of a machine as they cross: plain data, by the key of the device. */
export type DevicesState = z.output<typeof stateSchema>;

/** As bytes: JSON, some 5 KiB. */
export function encodeDevicesState(state: DevicesState): Uint8Array {
  return Buffer.from(JSON.stringify(state));
}

/** @throws GodwitError `GODWIT_METAL_STATE` */
export function decodeDevicesState(bytes: Uint8Array): DevicesState {
  try {
    return stateSchema.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  } catch (cause) {
    throw new GodwitError("GODWIT_METAL_STATE", "the devices' state makes no sense", {
      advice: "run the same version of Godwit on both hosts",
      cause,
    });
  }
}
