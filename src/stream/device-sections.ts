import { asBuffer } from "./bytes.ts";
import { type DecodedStruct, decodeStruct, type FieldValue } from "./device-fields.ts";
import { type SectionPlace, walkDeviceSections } from "./device-walk.ts";
import { streamError } from "./errors.ts";
import type { DeviceDescription, VmDescription } from "./vmdesc.ts";

/** One device section of a stream. */
export interface DeviceSection {
  /** The device's name in the stream, for example `0000:00:03.0/virtio-net`. */
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
  readonly sectionId: number;
  /** Of the whole section in the device state. */
  readonly offset: number;
  /** The whole section: header, fields, footer; a view. Sections in a row are the device state again. */
  readonly bytes: Uint8Array;
  /** The fields only; a view. */
  readonly body: Uint8Array;
  readonly description: DeviceDescription;
}

/**
 * Splits the device state of a stream into its sections. Every section must meet its footer and no byte may be
 * left over.
 * @throws GodwitError `GODWIT_STREAM_BAD_DEVICES`
 */
export function splitDeviceSections(state: Uint8Array, vmdesc: VmDescription): DeviceSection[] {
  return walkDeviceSections(state, vmdesc).map((place: SectionPlace, index) => ({
    idstr: place.idstr,
    instance: place.instance,
    version: place.version,
    sectionId: place.sectionId,
    offset: place.start,
    bytes: state.subarray(place.start, place.end),
    body: state.subarray(place.bodyStart, place.bodyEnd),
    description: vmdesc.devices[index]!,
  }));
}

/**
 * The fields of a section, decoded.
 * @throws GodwitError `GODWIT_STREAM_BAD_DEVICES`
 */
export function decodeDeviceSection(section: DeviceSection): DecodedStruct {
  const { description, body } = section;
  return decodeStruct(asBuffer(body), 0, body.length, {
    vmsd_name: description.vmsd_name ?? description.name,
    version: description.version ?? section.version,
    fields: description.fields ?? [],
    subsections: description.subsections,
  });
}

/**
 * Finds a field by its path, for example `fieldAt(state, "parent_obj", "config")` or `fieldAt(state, "irr", 3)`:
 * names of fields or subsections, and numbers of array elements.
 * @throws GodwitError `GODWIT_STREAM_BAD_DEVICES` when there is none
 */
export function fieldAt(state: DecodedStruct, ...path: readonly (string | number)[]): FieldValue {
  let value: FieldValue = state;
  for (const step of path) {
    const next: FieldValue | undefined = Array.isArray(value)
      ? (value as readonly FieldValue[])[Number(step)]
      : member(value, String(step));
    if (next === undefined) {
      throw streamError("GODWIT_STREAM_BAD_DEVICES", `"${state.name}" has no field ${path.join(".")}`);
    }
    value = next;
  }
  return value;
}

function member(value: FieldValue, name: string): FieldValue | undefined {
  if (typeof value !== "object" || value instanceof Uint8Array || !("fields" in value)) return undefined;
  return (
    value.fields.find((field) => field.name === name)?.value ??
    value.subsections.find((subsection) => subsection.name === name)
  );
}
