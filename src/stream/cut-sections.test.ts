import assert from "node:assert/strict";
import { test } from "node:test";
import { cutDeviceSections } from "./cut-sections.ts";
import { splitDeviceSections } from "./device-sections.ts";
import { StreamReader } from "./reader.ts";
import { captured } from "./testing/captured.ts";
import { parseVmDescription } from "./vmdesc.ts";

function tailOf(bytes: Uint8Array): { state: Uint8Array; json: Uint8Array } {
  let state: Uint8Array = new Uint8Array();
  let json: Uint8Array = new Uint8Array();
  const reader = new StreamReader({
    deviceState(all) {
      state = all;
    },
    description(text) {
      json = text;
    },
  });
  reader.push(bytes);
  reader.end();
  return { state, json };
}

for (const { version, bytes } of captured("precopy.stream")) {
  test(`sections of QEMU ${version} are cut out by name, the others stay byte by byte`, () => {
    const { state, json } = tailOf(bytes);
    const description = parseVmDescription(json);
    const sections = splitDeviceSections(state, description);
    const { kept, cut } = cutDeviceSections(state, json, new Set(["i8259", "i8254", "nobody"]));
    assert.deepEqual(cut.toSorted(), ["i8254", "i8259", "i8259"]);
    const others = sections.filter(({ idstr }) => !cut.includes(idstr)).map((section) => section.bytes);
    assert.ok(Buffer.concat(others).equals(kept));
    assert.ok(kept.length < state.length);
    assert.deepEqual(cutDeviceSections(state, json, new Set()).kept, Buffer.from(state));
  });

  test(`a description of QEMU ${version} that doesn't fit is refused`, () => {
    const { state, json } = tailOf(bytes);
    const wrong = { code: "GODWIT_STREAM_BAD_DEVICES" };
    assert.throws(() => cutDeviceSections(state.subarray(1), json, new Set()), wrong);
  });
}
