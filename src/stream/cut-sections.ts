import { parseJson } from "./description-json.ts";
import { walkDeviceSections } from "./device-walk.ts";
import type { VmDescription } from "./vmdesc.ts";

/**
 * Device sections without those of the given names. QEMU loads what comes and leaves the other devices as they were
 * when the machine was made.
 * @param state the device sections of a stream
 * @param description the JSON text that describes them
 * @throws GodwitError `GODWIT_STREAM_BAD_DEVICES`, `GODWIT_STREAM_BAD_DESCRIPTION`
 */
export function cutDeviceSections(
  state: Uint8Array,
  description: Uint8Array,
  names: ReadonlySet<string>,
): { readonly kept: Uint8Array; readonly cut: readonly string[] } {
  const kept: Uint8Array[] = [];
  const cut: string[] = [];
  for (const place of walkDeviceSections(state, parseJson(description) as VmDescription)) {
    if (names.has(place.idstr)) cut.push(place.idstr);
    else kept.push(state.subarray(place.start, place.end));
  }
  return { kept: Buffer.concat(kept), cut };
}
