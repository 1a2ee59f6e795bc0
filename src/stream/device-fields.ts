import { readUint32 } from "./bytes.ts";
import { subsectionFields, walkSubsections } from "./device-walk.ts";
import { streamError } from "./errors.ts";
import type { FieldDescription, StructDescription } from "./vmdesc.ts";

/**
 * A field's value: integers by their size (bigint where a number is not exact), `bool` as boolean, buffers and
 * everything QEMU packs in its own way as bytes, structures, and arrays of these.
 */
export type FieldValue = number | bigint | boolean | Uint8Array | DecodedStruct | readonly FieldValue[];

/** One field of a device's state. */
export interface DecodedField {
  readonly name: string;
  /** As QEMU calls it: "uint32", "bool", "buffer", "struct" … */
  readonly type: string;
  readonly value: FieldValue;
}

/** The fields of a device, a structure in it, or a subsection. */
export interface DecodedStruct {
  readonly name: string;
  readonly version: number;
  readonly fields: readonly DecodedField[];
  readonly subsections: readonly DecodedStruct[];
}

const INTEGER_TYPE = /^(u?int(8|16|32|64)|timer)\b/;
/** QEMU nests a dozen levels; `parseVmDescription` has bounded it already. */
const MAX_DEPTH = 64;
/**
 * Values in one section: an e1000, the largest seen, has some 33,000. Without a bound a short description can ask
 * for any number of them, as arrays of structures with empty fields.
 */
const MAX_VALUES = 1_000_000;

interface Progress {
  readonly bytes: Buffer;
  depth: number;
  values: number;
}

/**
 * Decodes the fields that lie in `bytes[start…end)`, subsections included.
 * @throws GodwitError `GODWIT_STREAM_BAD_DEVICES` when description and bytes don't fit each other
 */
export function decodeStruct(
  bytes: Buffer,
  start: number,
  end: number,
  description: StructDescription,
): DecodedStruct {
  return decode({ bytes, depth: 0, values: 0 }, start, end, description);
}

function decode(
  progress: Progress,
  start: number,
  end: number,
  description: StructDescription,
): DecodedStruct {
  if (++progress.depth > MAX_DEPTH) throw bad("nested too deep", start);
  const { bytes } = progress;
  let pos = start;
  const fields: DecodedField[] = [];
  // Elements of an array that differ from each other are described one by one, with an index, under one name.
  let elements: FieldValue[] | undefined;
  for (const field of description.fields) {
    const size = field.size * Math.max(1, field.array_len ?? 1);
    if (!(pos + size <= end)) throw bad(`field "${field.name}" doesn't fit`, pos);
    const value = decodeField(progress, pos, field);
    pos += size;
    const last = fields.at(-1);
    if (field.index !== undefined && field.index > 0 && elements !== undefined && last?.name === field.name) {
      elements.push(value);
    } else if (field.index !== undefined) {
      elements = [value];
      fields.push({ name: field.name, type: field.type, value: elements });
    } else {
      elements = undefined;
      fields.push({ name: field.name, type: field.type, value });
    }
  }
  const subsections: DecodedStruct[] = [];
  for (const subsection of description.subsections ?? []) {
    const subsectionEnd = walkSubsections(bytes, pos, [subsection]);
    if (subsectionEnd > end) throw bad(`subsection "${subsection.vmsd_name}" doesn't fit`, pos);
    const first = subsectionFields(bytes, pos, subsection);
    subsections.push(decode(progress, first, subsectionEnd, subsection));
    pos = subsectionEnd;
  }
  progress.depth--;
  if (pos !== end) throw bad(`${end - pos} bytes of "${description.vmsd_name}" are not described`, pos);
  return { name: description.vmsd_name, version: description.version, fields, subsections };
}

function decodeField(progress: Progress, pos: number, field: FieldDescription): FieldValue {
  if (field.array_len === undefined) return decodeOne(progress, pos, field);
  // An array of nothing may claim any length.
  const count = field.size === 0 ? 0 : field.array_len;
  const values: FieldValue[] = [];
  for (let index = 0; index < count; index++)
    values.push(decodeOne(progress, pos + index * field.size, field));
  return values;
}

function decodeOne(progress: Progress, pos: number, field: FieldDescription): FieldValue {
  const { bytes } = progress;
  const { size, type, struct } = field;
  if (++progress.values > MAX_VALUES) throw bad(`more than ${MAX_VALUES} values`, pos);
  if (struct !== undefined) return decode(progress, pos, pos + size, struct);
  if (type === "bool" && size === 1) return bytes[pos] !== 0;
  if (INTEGER_TYPE.test(type)) {
    const signed = !type.startsWith("u");
    if (size === 1) return signed ? bytes.readInt8(pos) : bytes[pos]!;
    if (size === 2) return signed ? bytes.readInt16BE(pos) : bytes.readUInt16BE(pos);
    if (size === 4) return signed ? bytes.readInt32BE(pos) : readUint32(bytes, pos);
    if (size === 8) return exact(signed ? bytes.readBigInt64BE(pos) : bytes.readBigUInt64BE(pos));
  }
  return bytes.subarray(pos, pos + size);
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function bad(what: string, offset: number): Error {
  return streamError("GODWIT_STREAM_BAD_DEVICES", `device state: ${what}, byte ${offset} of the section`);
}
