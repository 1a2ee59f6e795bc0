import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type DeviceDescription,
  decodeDeviceSection,
  type FieldDescription,
  fieldAt,
  parseVmDescription,
  splitDeviceSections,
} from "./index.ts";
import { boxDevice } from "./testing/synthetic.ts";

/** Device state with one section "box" 0 of these bytes, described by these fields. */
function box(body: string, device: Partial<DeviceDescription>) {
  const { state } = boxDevice(Buffer.from(body.replaceAll(" ", ""), "hex"));
  const vmdesc = { page_size: 4096, devices: [{ name: "box", instance_id: 0, version: 1, ...device }] };
  return { state, vmdesc: parseVmDescription(Buffer.from(JSON.stringify(vmdesc))) };
}

function decoded(body: string, fields: FieldDescription[], device: Partial<DeviceDescription> = {}) {
  const { state, vmdesc } = box(body, { fields, ...device });
  const [section] = splitDeviceSections(state, vmdesc);
  return decodeDeviceSection(section!);
}

test("integers are decoded by size and sign, others as bytes", () => {
  const state = decoded("ff fe ffff fffffffe fffffffffffffffe 01 fffffffffffffffe abcd", [
    { name: "a", type: "uint8", size: 1 },
    { name: "b", type: "int8", size: 1 },
    { name: "c", type: "uint16", size: 2 },
    { name: "d", type: "int32 le", size: 4 },
    { name: "e", type: "uint64", size: 8 },
    { name: "f", type: "bool", size: 1 },
    { name: "g", type: "timer", size: 8 },
    { name: "h", type: "buffer", size: 2 },
  ]);
  const values = Object.fromEntries(state.fields.map((field) => [field.name, field.value]));
  const { h, ...rest } = values;
  assert.deepEqual(rest, { a: 255, b: -2, c: 65535, d: -2, e: 2n ** 64n - 2n, f: true, g: -2 });
  assert.deepEqual([...(h as Buffer)], [0xab, 0xcd]);
});

test("arrays, structures in arrays, and elements described one by one are decoded", () => {
  const point = {
    vmsd_name: "point",
    version: 1,
    fields: [
      { name: "x", type: "uint8", size: 1 },
      { name: "y", type: "uint8", size: 1 },
    ],
  };
  const state = decoded("0001 0002 0102 0304 0506 0708 09", [
    { name: "list", type: "uint16", size: 2, array_len: 2 },
    { name: "points", type: "struct", size: 2, array_len: 2, struct: point },
    { name: "odd", type: "struct", size: 2, index: 0, struct: point },
    { name: "odd", type: "struct", size: 2, index: 1, struct: point },
    { name: "last", type: "uint8", size: 1 },
  ]);
  assert.deepEqual(fieldAt(state, "list"), [1, 2]);
  assert.equal(fieldAt(state, "points", 1, "y"), 4);
  assert.equal(fieldAt(state, "odd", 1, "x"), 7);
  assert.equal(fieldAt(state, "last"), 9);
  assert.throws(() => fieldAt(state, "odd", 2), { code: "GODWIT_STREAM_BAD_DEVICES" });
});

test("subsections, also of structures and of subsections, are followed", () => {
  const inner = { vmsd_name: "box/a/b", version: 1, fields: [{ name: "n", type: "uint8", size: 1 }] };
  const outer = {
    vmsd_name: "box/a",
    version: 1,
    fields: [{ name: "m", type: "uint8", size: 1 }],
    subsections: [inner],
  };
  const part = { vmsd_name: "part", version: 1, fields: [], subsections: [inner] };
  const sub = (name: string, body: string) =>
    `05 ${Buffer.from([name.length]).toString("hex")} ${Buffer.from(name).toString("hex")} 00000001 ${body}`;
  const nested = sub("box/a/b", "2a");
  const body = `${nested} 07 ${sub("box/a", "05")} ${nested}`;
  const fields = [
    { name: "part", type: "struct", size: 14, struct: part },
    { name: "last", type: "uint8", size: 1 },
  ];
  const state = decoded(body, fields, { subsections: [outer] });
  assert.equal(fieldAt(state, "part", "box/a/b", "n"), 42);
  assert.equal(fieldAt(state, "last"), 7);
  assert.equal(fieldAt(state, "box/a", "m"), 5);
  assert.equal(fieldAt(state, "box/a", "box/a/b", "n"), 42);
});

test("the parts of a field of type tmp are decoded", () => {
  const json = {
    page_size: 4096,
    devices: [
      {
        name: "box",
        instance_id: 0,
        fields: [
          {
            name: "t",
            type: "tmp",
            size: 1,
            vmsd_name: "tmp",
            version: 2,
            fields: [{ name: "n", type: "uint8", size: 1 }],
          },
        ],
      },
    ],
  };
  const vmdesc = parseVmDescription(Buffer.from(JSON.stringify(json)));
  const [section] = splitDeviceSections(boxDevice(Buffer.of(9)).state, vmdesc);
  assert.equal(fieldAt(decodeDeviceSection(section!), "t", "n"), 9);
});

const MISFITS: Readonly<Record<string, Partial<DeviceDescription>>> = {
  "a field too large": { fields: [{ name: "a", type: "buffer", size: 5 }] },
  "a field too small": { fields: [{ name: "a", type: "buffer", size: 3 }] },
  "a length that overflows": { fields: [{ name: "a", type: "buffer", size: 2 ** 52, array_len: 2 ** 52 }] },
  "another device": { name: "other", fields: [{ name: "a", type: "buffer", size: 4 }] },
  "another instance": { instance_id: 1, fields: [{ name: "a", type: "buffer", size: 4 }] },
  "a subsection that is not there": {
    fields: [{ name: "a", type: "buffer", size: 4 }],
    subsections: [{ vmsd_name: "x", version: 1, fields: [] }],
  },
};
for (const [what, device] of Object.entries(MISFITS)) {
  test(`a description that doesn't fit is refused: ${what}`, () => {
    const { state, vmdesc } = box("00000000", device);
    assert.throws(() => splitDeviceSections(state, vmdesc), { code: "GODWIT_STREAM_BAD_DEVICES" });
  });
}

test("a footer of another section is refused", () => {
  const { state, vmdesc } = box("00", { fields: [{ name: "a", type: "uint8", size: 1 }] });
  state[state.length - 1]! ^= 1;
  assert.throws(() => splitDeviceSections(state, vmdesc), { code: "GODWIT_STREAM_BAD_DEVICES" });
});

test("arrays of nothing and piles of empty fields cost no time and no memory", () => {
  const nothing = { name: "a", type: "uint8", size: 0, array_len: Number.MAX_SAFE_INTEGER };
  const empty = Array.from({ length: 1000 }, () => ({ name: "b", type: "uint8", size: 0 }));
  const struct = { vmsd_name: "s", version: 1, fields: [{ name: "c", type: "uint8", size: 1 }, ...empty] };
  const state = decoded("00", [nothing, { name: "d", type: "uint8", size: 1 }]);
  assert.deepEqual(fieldAt(state, "a"), []);
  const body = "00".repeat(10_000);
  assert.throws(() => decoded(body, [{ name: "e", type: "struct", size: 1, array_len: 10_000, struct }]), {
    code: "GODWIT_STREAM_BAD_DEVICES",
  });
});

test("descriptions that are no JSON, nested without end, or of another shape are refused", () => {
  // As a shape it is right, only endless.
  const levels = 20_000;
  const start =
    '[{"name":"a","type":"struct","size":0,"struct":{"vmsd_name":"s","version":1,"fields":'.repeat(levels);
  const fields = `${start}[]${"}}]".repeat(levels)}`;
  const deep = `{"page_size":4096,"devices":[{"name":"box","instance_id":0,"fields":${fields}}]}`;
  for (const text of [
    "",
    "{",
    "[]",
    deep,
    '{"page_size":4096,"devices":[{"name":"x","instance_id":-1}]}',
    "\0",
  ]) {
    assert.throws(() => parseVmDescription(Buffer.from(text)), { code: "GODWIT_STREAM_BAD_DESCRIPTION" });
  }
  assert.throws(() => parseVmDescription(Buffer.alloc(100), 99), { code: "GODWIT_STREAM_OVERSIZED" });
});
