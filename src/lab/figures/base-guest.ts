import type { LabSettingsText } from "../lab-settings.ts";
import type { Grid } from "./figure.ts";

const common = {
  content: "text",
  // Memory that was never used is zero; what is measured is what the guest holds.
  freeMemory: "untouched",
  // All sizes of the figures are sound with QEMU 10.
  qemu: "10.0",
  exactMemory: true,
  dirty: "0",
  link: "1Gbit/s",
} as const satisfies LabSettingsText;

/** The guest of most cells: what a figure does not vary is as here, so that figures share their runs. */
export const baseGuest = {
  quick: { ...common, memory: "256MiB", hold: "37.5%", hot: "16MiB", giveUp: "30s" },
  full: { ...common, memory: "512MiB", hold: "50%", hot: "64MiB", giveUp: "45s" },
} as const satisfies Readonly<Record<Grid, LabSettingsText>>;
