import { readName, readUint32 } from "./bytes.ts";
import { MAX_DEPTH } from "./description-json.ts";
import { streamError } from "./errors.ts";
import { RECORD } from "./format.ts";
import type { DeviceDescription, FieldDescription, StructDescription, VmDescription } from "./vmdesc.ts";

/** Where a device section lies in the device state, and what its header says. */
export interface SectionPlace {
  readonly sectionId: number;
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
  /** Of the section's first byte, 04. */
  readonly start: number;
  /** Of the fields. */
  readonly bodyStart: number;
  /** Behind the fields: where the footer is. */
  readonly bodyEnd: number;
  /** Behind the footer. */
  readonly end: number;
}

/**
 * Walks through device sections with the help of their description: header, fields, subsections, footer; each
 * section must meet its footer. Takes nothing in the description on trust, not even its types, so that it serves
 * to find out whether bytes are a description at all.
 * @returns the places, which fill `state` without a gap
 * @throws GodwitError `GODWIT_STREAM_BAD_DEVICES` with the offset in the device state
 */
export function walkDeviceSections(state: Uint8Array, vmdesc: VmDescription): SectionPlace[] {
  const places: SectionPlace[] = [];
  let pos = 0;
  for (const device of list<DeviceDescription>(vmdesc?.devices, "devices")) {
    const place = walkSection(state, pos, device);
    places.push(place);
    pos = place.end;
  }
  if (pos !== state.length)
    throw bad(`${state.length - pos} bytes of the device state are not described`, pos);
  return places;
}

function walkSection(state: Uint8Array, start: number, device: DeviceDescription): SectionPlace {
  const nameBytes = state[start + 5] ?? 0;
  const bodyStart = start + 6 + nameBytes + 8;
  if (state[start] !== RECORD.sectionFull || bodyStart > state.length) {
    throw bad(`section "${device?.name}" is missing`, start);
  }
  const idstr = readName(state, start + 6, nameBytes);
  const instance = readUint32(state, start + 6 + nameBytes);
  if (idstr !== device.name || instance !== device.instance_id) {
    throw bad(`section "${idstr}" ${instance} is described as "${device.name}" ${device.instance_id}`, start);
  }
  const fieldsEnd = bodyStart + fieldsSize(device.fields, state.length - bodyStart, bodyStart);
  const bodyEnd = walkSubsections(state, fieldsEnd, device.subsections);
  const sectionId = readUint32(state, start + 1);
  if (
    bodyEnd + 5 > state.length ||
    state[bodyEnd] !== RECORD.footer ||
    readUint32(state, bodyEnd + 1) !== sectionId
  ) {
    throw bad(`section "${idstr}" doesn't end where its description says`, bodyEnd);
  }
  const version = readUint32(state, bodyStart - 4);
  return { sectionId, idstr, instance, version, start, bodyStart, bodyEnd, end: bodyEnd + 5 };
}

/** The bytes that fields take; a structure's own subsections are part of its size. */
function fieldsSize(fields: readonly FieldDescription[] | undefined, room: number, offset: number): number {
  let size = 0;
  for (const field of list<FieldDescription>(fields ?? [], "fields")) {
    const times = Math.max(1, field?.array_len ?? 1);
    const bytes = field?.size * times;
    // Not a number, negative, fractional and too large all fail this comparison or the next check.
    if (!(bytes >= 0 && size + bytes <= room) || !Number.isInteger(bytes)) {
      throw bad(`field "${field?.name}" doesn't fit`, offset + size);
    }
    size += bytes;
  }
  return size;
}

/** @returns the offset behind the subsections that begin at `pos`, which may be none */
export function walkSubsections(
  state: Uint8Array,
  pos: number,
  subsections: readonly StructDescription[] | undefined,
  depth = 1,
): number {
  if (depth > MAX_DEPTH) throw bad(`subsections lie deeper than ${MAX_DEPTH} levels`, pos);
  for (const subsection of list<StructDescription>(subsections ?? [], "subsections")) {
    const fields = subsectionFields(state, pos, subsection);
    const fieldsEnd = fields + fieldsSize(subsection.fields, state.length - fields, fields);
    pos = walkSubsections(state, fieldsEnd, subsection.subsections, depth + 1);
  }
  return pos;
}

/** Checks a subsection's header. @returns the offset of its fields */
export function subsectionFields(state: Uint8Array, pos: number, subsection: StructDescription): number {
  const nameBytes = state[pos + 1] ?? 0;
  const fields = pos + 2 + nameBytes + 4;
  if (
    state[pos] !== RECORD.subsection ||
    fields > state.length ||
    readName(state, pos + 2, nameBytes) !== subsection?.vmsd_name
  ) {
    throw bad(`subsection "${subsection?.vmsd_name}" is missing`, pos);
  }
  return fields;
}

function list<Item>(value: unknown, what: string): readonly Item[] {
  if (!Array.isArray(value)) throw bad(`"${what}" is no list`, 0);
  return value;
}

function bad(what: string, offset: number): Error {
  return streamError(
    "GODWIT_STREAM_BAD_DEVICES",
    `device state: ${what}, byte ${offset} of the device state`,
  );
}
