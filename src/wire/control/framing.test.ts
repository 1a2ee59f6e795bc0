import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeFrame,
  type Frame,
  FrameReader,
  MAXIMUM_JSON_BYTES,
  MAXIMUM_PAYLOAD_BYTES,
} from "./framing.ts";

const frameArbitrary = fc.record({
  code: fc.nat(65_535),
  json: fc.string({ unit: "binary", maxLength: 40 }),
  payload: fc.uint8Array({ maxLength: 60 }),
});

test("frames come out as they went in, however the bytes are cut", () => {
  fc.assert(
    fc.property(
      fc.array(frameArbitrary, { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 50 })),
      (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(({ code, json, payload }) => encodeFrame(code, json, payload)));
        const seen: Frame[] = [];
        const reader = new FrameReader((frame) => seen.push(frame));
        let position = 0;
        for (let index = 0; position < bytes.length; index += 1) {
          const length = cuts[index % (cuts.length || 1)] ?? bytes.length;
          reader.push(bytes.subarray(position, position + length));
          position += length;
        }
        assert.ok(reader.atBoundary);
        assert.deepEqual(
          seen.map((frame) => ({
            code: frame.code,
            json: frame.json.toString("utf8"),
            payload: new Uint8Array(frame.payload),
          })),
          sent.map((frame) => ({ ...frame, json: Buffer.from(frame.json).toString("utf8") })),
        );
      },
    ),
  );
});

test("a frame beyond the bounds is refused from its head alone", () => {
  for (const [jsonBytes, payloadBytes] of [
    [MAXIMUM_JSON_BYTES + 1, 0],
    [0, MAXIMUM_PAYLOAD_BYTES + 1],
    [0xffff_ffff, 0],
    [6, 0xffff_fff0],
  ] as const) {
    const head = Buffer.alloc(10);
    head.writeUInt32BE(Math.min(0xffff_ffff, 6 + jsonBytes + payloadBytes), 0);
    head.writeUInt32BE(jsonBytes, 6);
    const before = process.memoryUsage().arrayBuffers;
    assert.throws(() => new FrameReader(() => {}).push(head), { code: "GODWIT_WIRE_TOO_LARGE" });
    assert.ok(process.memoryUsage().arrayBuffers - before < MAXIMUM_JSON_BYTES);
  }
  assert.throws(() => encodeFrame(1, "x".repeat(MAXIMUM_JSON_BYTES + 1)), { code: "GODWIT_WIRE_TOO_LARGE" });
  assert.throws(() => encodeFrame(1, "", Buffer.alloc(MAXIMUM_PAYLOAD_BYTES + 1)), {
    code: "GODWIT_WIRE_TOO_LARGE",
  });
});

test("a frame too short for its header is refused", () => {
  const head = Buffer.alloc(10);
  head.writeUInt32BE(5, 0);
  assert.throws(() => new FrameReader(() => {}).push(head), { code: "GODWIT_WIRE_INVALID" });
  head.writeUInt32BE(10, 0);
  head.writeUInt32BE(5, 6);
  assert.throws(() => new FrameReader(() => {}).push(head), { code: "GODWIT_WIRE_INVALID" });
});

test("random bytes never hang the reader nor make it allocate", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 10, maxLength: 200 }), (bytes) => {
      try {
        new FrameReader(() => {}).push(Buffer.from(bytes));
      } catch (thrown) {
        assert.match(String((thrown as { code: unknown }).code), /^GODWIT_WIRE_/);
      }
    }),
  );
});
