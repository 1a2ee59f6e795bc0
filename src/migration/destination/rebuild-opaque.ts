import { GodwitError } from "../../base/errors.ts";
import type { RebuildDevices } from "../opaque-devices.ts";

/**
 * Gives a loaded machine the devices that its QEMU was not given.
 * @param rebuilder null where the offer spoke of none
 * @param state null where none came
 * @returns how long that took, in milliseconds
 * @throws GodwitError `GODWIT_WIRE_INVALID` where one is without the other
 */
export async function rebuildOpaque(
  rebuilder: Pick<RebuildDevices, "rebuild"> | null,
  state: Uint8Array | null,
): Promise<number> {
  const startedMs = performance.now();
  if (state === null && rebuilder === null) return 0;
  if (rebuilder === null) throw new GodwitError("GODWIT_WIRE_INVALID", "devices that nobody announced");
  // Without it the guest would arrive with devices as after power-on, and hang.
  if (state === null) throw new GodwitError("GODWIT_WIRE_INVALID", "the devices to rebuild did not come");
  await rebuilder.rebuild(state);
  return performance.now() - startedMs;
}
