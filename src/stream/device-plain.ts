import type { DecodedStruct, FieldValue } from "./device-fields.ts";

/** Decoded state as JSON can carry it. */
export type PlainValue = number | boolean | string | PlainFields | PlainValue[];
/** Fields and subsections by name; a name that comes again gets `#2`, `#3` … behind it. */
export interface PlainFields {
  [name: string]: PlainValue;
}

/**
 * Decoded state for printing: bytes in hexadecimal, integers beyond 2^53 as decimal text, structures as objects.
 */
export function plainFields(struct: DecodedStruct): PlainFields {
  // Names come from a stream: "__proto__" must be a name like any other.
  const plain: PlainFields = Object.create(null);
  for (const { name, value } of struct.fields) put(plain, name, plainValue(value));
  for (const subsection of struct.subsections) put(plain, subsection.name, plainFields(subsection));
  return plain;
}

function plainValue(value: FieldValue): PlainValue {
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if ("fields" in value) return plainFields(value);
  return value.map(plainValue);
}

function put(plain: PlainFields, name: string, value: PlainValue): void {
  let free = name;
  for (let turn = 2; free in plain; turn++) free = `${name}#${turn}`;
  plain[free] = value;
}
