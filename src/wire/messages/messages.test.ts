import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { encodeFrame, type Frame, FrameReader } from "../control/framing.ts";
import { type ChannelRole, decodeMessage, encodeMessage } from "../control/message-codec.ts";
import type { AnyMessageDefinition } from "./define.ts";
import { type Message, messageDefinitions } from "./index.ts";

const HELPERS = new Set(["define.ts", "fields.ts", "index.ts"]);
const definitions = messageDefinitions as unknown as readonly AnyMessageDefinition[];

test("every file of this folder is one message of the union", async () => {
  const files = readdirSync(import.meta.dirname).filter(
    (file) => !file.endsWith(".test.ts") && !HELPERS.has(file),
  );
  for (const file of files) {
    const exported: Record<string, unknown> = await import(`./${file}`);
    const found = Object.values(exported) as AnyMessageDefinition[];
    assert.equal(found.length, 1, `${file} exports one definition`);
    assert.ok(definitions.includes(found[0] as AnyMessageDefinition), `${file} is in messageDefinitions`);
    assert.equal(`${found[0]?.type}.ts`, file, "the file is named after the message");
  }
  assert.equal(files.length, definitions.length);
});

test("no two messages share a code or a name", () => {
  assert.equal(new Set(definitions.map(({ code }) => code)).size, definitions.length);
  assert.equal(new Set(definitions.map(({ type }) => type)).size, definitions.length);
});

for (const definition of definitions) {
  const sender: ChannelRole = definition.direction === "destination-to-source" ? "destination" : "source";
  const receiver: ChannelRole = sender === "source" ? "destination" : "source";
  const payload = definition.payload === "required" ? Buffer.from([7, 0, 0, 255]) : undefined;
  const frameOf = (json: string, bytes = payload): Frame => read(encodeFrame(definition.code, json, bytes));
  const refuses = (fields: unknown, bytes = payload) =>
    assert.throws(() => decodeMessage(frameOf(JSON.stringify(fields), bytes), receiver), {
      code: "GODWIT_WIRE_INVALID",
    });

  test(`"${definition.type}" arrives as it was sent`, () => {
    assert.ok(definition.examples.length > 0 && definition.doc.length > 20);
    for (const example of definition.examples) {
      const message = { type: definition.type, ...example, ...(payload && { payload }) } as Message;
      assert.deepEqual(decodeMessage(read(encodeMessage(message, sender)), receiver), message);
    }
  });

  test(`"${definition.type}" is refused with any field missing, of another kind, or unknown`, () => {
    for (const example of definition.examples) {
      for (const field of Object.keys(example)) {
        const { [field]: value, ...rest } = example as Record<string, unknown>;
        if (!definition.schema.shape[field]?.safeParse(undefined).success) refuses(rest);
        refuses({ ...example, [field]: null });
        refuses({ ...example, [field]: [[[]]] });
        if (typeof value === "number") {
          for (const bad of [-1, "1", 1e300 * 1e10]) refuses({ ...example, [field]: bad });
        }
        if (typeof value === "string")
          refuses({ ...example, [field]: "\u0000".repeat(300) + "x".repeat(9000) });
      }
      const unknown = { ...example, somethingNew: 1 };
      if (definition.type === "hello")
        assert.doesNotThrow(() => decodeMessage(frameOf(JSON.stringify(unknown)), receiver));
      else refuses(unknown);
    }
  });

  test(`"${definition.type}" is refused when its header is no JSON object`, () => {
    for (const json of ["", "{", "null", "[]", "7", '"x"', "[".repeat(100_000), '{"__proto__":']) {
      assert.throws(() => decodeMessage(frameOf(json), receiver), { code: "GODWIT_WIRE_INVALID" });
    }
  });

  test(`"${definition.type}" keeps its direction and its payload rule`, () => {
    const example = definition.examples[0] as Record<string, unknown>;
    const json = JSON.stringify(example);
    if (definition.direction !== "both") {
      assert.throws(() => decodeMessage(frameOf(json), sender), { code: "GODWIT_WIRE_INVALID" });
      const message = { type: definition.type, ...example, ...(payload && { payload }) } as Message;
      assert.throws(() => encodeMessage(message, receiver), { code: "GODWIT_WIRE_INVALID" });
    }
    if (definition.payload === "none") refuses(example, Buffer.from([1]));
    else {
      const message = { type: definition.type, ...example } as Message;
      assert.throws(() => encodeMessage(message, sender), { code: "GODWIT_WIRE_INVALID" });
    }
  });
}

test("a message of an unknown type is refused, not ignored", () => {
  assert.throws(() => decodeMessage(read(encodeFrame(9999, "{}")), "source"), {
    code: "GODWIT_WIRE_UNKNOWN",
  });
});

function read(bytes: Buffer): Frame {
  const frames: Frame[] = [];
  new FrameReader((frame) => frames.push(frame)).push(bytes);
  assert.equal(frames.length, 1);
  return frames[0] as Frame;
}
