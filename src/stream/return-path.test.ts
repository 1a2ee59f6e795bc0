import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeReturnMessage, type ReturnMessage, ReturnPathReader } from "./index.ts";
import { captured } from "./testing/captured.ts";
import { chunked } from "./testing/transcript.ts";

function read(bytes: Uint8Array, sizes: readonly number[]): ReturnMessage[] {
  const messages: ReturnMessage[] = [];
  const reader = new ReturnPathReader((message) => messages.push(message));
  for (const chunk of chunked(bytes, sizes)) reader.push(chunk);
  assert.equal(reader.isAmidMessage, false);
  return messages;
}

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const name = fc.string({ minLength: 1, maxLength: 255, unit: fc.constantFrom("a", "/", "ÿ") });
const message: fc.Arbitrary<ReturnMessage> = fc.oneof(
  fc.record({ type: fc.constant("shut" as const), status: uint32 }),
  fc.record({ type: fc.constant("pong" as const), value: uint32 }),
  fc.record({ type: fc.constant("resumeAck" as const), value: uint32 }),
  fc.record({ type: fc.constant("switchoverAck" as const) }),
  fc.record({
    type: fc.constant("request" as const),
    block: fc.option(name, { nil: undefined }),
    firstPage: fc.integer({ min: 0, max: 2 ** 40 }),
    pageCount: fc.integer({ min: 1, max: 2 ** 20 - 1 }),
  }),
  fc.record({ type: fc.constant("bitmap" as const), block: name, bits: fc.uint8Array({ maxLength: 3000 }) }),
);

test("messages are encoded and read in any chunks", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), sizes, (list, sizes) => {
      const messages = list.map((message) => ({ ...message }));
      assert.deepEqual(read(Buffer.concat(messages.map(encodeReturnMessage)), sizes), messages);
    }),
    { numRuns: 300 },
  );
});

for (const { version, bytes } of captured("postcopy.answers")) {
  test(`the answers of QEMU ${version} in a post-copy are understood, and encoded the same`, () => {
    const messages = read(bytes, [bytes.length]);
    assert.deepEqual(messages[0], { type: "pong", value: 1 });
    assert.deepEqual(messages.at(-1), { type: "shut", status: 0 });
    assert.ok(messages.some((message) => message.type === "request" && message.block === "pc.ram"));
    assert.ok(messages.some((message) => message.type === "request" && message.block === undefined));
    assert.ok(Buffer.concat(messages.map(encodeReturnMessage)).equals(bytes));
  });
}

const WRONG: Readonly<Record<string, readonly [string, string]>> = {
  "an unknown type": ["0008 0000", "GODWIT_STREAM_BAD_MESSAGE"],
  "a long message": ["0002 ffff", "GODWIT_STREAM_BAD_MESSAGE"],
  "a pong of 8 bytes": ["0002 0008 0000000000000000", "GODWIT_STREAM_BAD_MESSAGE"],
  "half a page": ["0004 000c 0000000000000800 00001000", "GODWIT_STREAM_BAD_MESSAGE"],
  "no page": ["0004 000c 0000000000000000 00000000", "GODWIT_STREAM_BAD_MESSAGE"],
  "a name that doesn't fit": ["0003 000e 0000000000000000 00001000 02 61", "GODWIT_STREAM_BAD_MESSAGE"],
  "a huge bitmap": ["0005 0002 01 61 0000010000000000", "GODWIT_STREAM_OVERSIZED"],
  "a bitmap with another end": [
    "0005 0002 01 61 0000000000000001 ff 0123456789abcdee",
    "GODWIT_STREAM_BAD_MESSAGE",
  ],
};
for (const [what, [hex, code]] of Object.entries(WRONG)) {
  test(`refused on the return path: ${what}`, () => {
    const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
    for (const size of [1, bytes.length]) assert.throws(() => read(bytes, [size]), { code });
  });
}
