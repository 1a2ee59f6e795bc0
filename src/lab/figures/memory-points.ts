import { baseGuest } from "./base-guest.ts";
import type { ContenderId } from "./contenders.ts";
import type { Grid } from "./figure.ts";
import type { Sweep, SweepPoint } from "./sweep.ts";

/** The largest guest costs most of a minute a run: only those that a statement needs, once. */
const dear: readonly ContenderId[] = [
  ...(["qemu", "qemu-stop-and-copy", "qemu-zstd"] as const),
  ...(["stop-and-copy", "pre-copy", "hybrid"] as const),
];

/** The sizes of figures 2 to 5, of which always the same share is held. */
export const memoryPoints: Readonly<Record<Grid, readonly SweepPoint[]>> = {
  quick: [
    { x: 256, settings: baseGuest.quick },
    { x: 512, settings: { ...baseGuest.quick, memory: "512MiB" }, contenders: dear },
  ],
  full: [
    { x: 256, settings: { ...baseGuest.full, memory: "256MiB" } },
    { x: 512, settings: baseGuest.full },
    { x: 1024, settings: { ...baseGuest.full, memory: "1GiB" } },
    { x: 2048, settings: { ...baseGuest.full, memory: "2GiB" }, contenders: dear, repeats: 1 },
  ],
};

/** Their axis. */
export const memoryAxis: Sweep["axis"] = {
  title: "memory of the guest, MiB",
  scale: "linear",
};
