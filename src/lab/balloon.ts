import { setTimeout as delay } from "node:timers/promises";
import { GodwitError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import type { RunningMachine } from "../qemu/index.ts";

/** A guest of 8 GiB takes up to 17 s to fill its balloon under TCG; on a slow day more. */
const INFLATE_TIMEOUT_MS = 120_000;
const POLL_MS = 50;

/** Whether the guest gives back memory before stock QEMU moves it. */
export type BalloonUse = "none" | { readonly inflateToBytes: number };

/** The arguments for a machine file by which QEMU has the device that is needed. */
export function balloonArguments(use: BalloonUse): string[] {
  return use === "none" ? [] : ["-device", "virtio-balloon-pci,id=balloon,addr=0x1c"];
}

/**
 * Has the guest give back memory until it has no more than this; resolves when it has.
 * @throws GodwitError `GODWIT_LAB_GUEST` when it takes too long
 */
export async function inflateBalloon(
  machine: RunningMachine,
  inflateToBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const endMs = performance.now() + INFLATE_TIMEOUT_MS;
  await machine.qmp.execute("balloon", { value: inflateToBytes }, { signal });
  for (;;) {
    const { actual } = await machine.qmp.execute("query-balloon", {}, { signal });
    if (actual <= inflateToBytes) return;
    if (performance.now() > endMs) {
      throw new GodwitError(
        "GODWIT_LAB_GUEST",
        `the guest still has ${formatBytes(actual)}, ${formatBytes(inflateToBytes)} were wanted`,
        { advice: "give it a balloon that leaves it more" },
      );
    }
    await delay(POLL_MS, undefined, { signal });
  }
}
