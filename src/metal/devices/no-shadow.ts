import { z } from "zod";
import type { DeviceKind } from "../device.ts";

const shadowSchema = z.strictObject({});

/** Nothing. */
export type NoShadow = z.output<typeof shadowSchema>;

/** The monitor's part of a device all of whose registers can be read: it has nothing to keep. */
export const noShadow: Pick<DeviceKind<NoShadow>, "shadowSchema" | "freshShadow" | "observe"> = {
  shadowSchema,
  freshShadow: () => ({}),
  observe() {},
};
