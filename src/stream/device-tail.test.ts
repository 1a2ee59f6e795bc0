import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceTail } from "./device-tail.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { boxDevice } from "./testing/synthetic.ts";
import { chunked } from "./testing/transcript.ts";

function tailOf(state: Uint8Array, json: Uint8Array): Buffer {
  const head = Buffer.alloc(6);
  head[1] = 6;
  head.writeUInt32BE(json.length, 2);
  return Buffer.concat([state, head, json]);
}

function read(bytes: Uint8Array, size: number, limits = DEFAULT_LIMITS) {
  const tail = new DeviceTail(limits, 0);
  for (const chunk of chunked(bytes, [size])) {
    const parts = tail.push(chunk, 0, chunk.length);
    if (parts !== undefined) return parts;
  }
  return tail.finish(false);
}

test("device state that imitates its own end does not end early", () => {
  const { json: small } = boxDevice(Buffer.alloc(0));
  const imitations = [
    tailOf(Buffer.alloc(0), small),
    tailOf(Buffer.from("7e00000009", "hex"), Buffer.from('{"page_size":4096,"devices":[]}')),
    Buffer.from("0006000000027b7d", "hex"),
    Buffer.from("00060000ffff7b", "hex"),
    Buffer.from("0006ffffffff7b", "hex"),
  ];
  const { state, json } = boxDevice(Buffer.concat(imitations));
  for (const size of [1, 5, 1000]) {
    const parts = read(tailOf(state, json), size);
    assert.ok(state.equals(parts.deviceState));
    assert.ok(json.equals(parts.description!));
  }
});

test("a description that ends with what has come is told before it is checked, binary data is not", () => {
  const imitation = tailOf(Buffer.alloc(0), boxDevice(Buffer.alloc(0)).json);
  const { state, json } = boxDevice(imitation);
  const bytes = tailOf(state, json);
  const toldOf = (chunks: Iterable<Uint8Array>) => {
    const told: number[] = [];
    const tail = new DeviceTail(DEFAULT_LIMITS, 0, (unchecked) => told.push(unchecked.length));
    for (const chunk of chunks) tail.push(chunk, 0, chunk.length);
    return told;
  };
  assert.deepEqual(toldOf([bytes]), [state.length]);
  const inside = bytes.indexOf(imitation);
  const behind = inside + imitation.length;
  assert.deepEqual(toldOf([bytes.subarray(0, behind), bytes.subarray(behind)]), [inside, state.length]);
});

test("device state full of false ends is refused rather than examined for ever", () => {
  const { state, json } = boxDevice(Buffer.from("0006000000027b7d".repeat(1000), "hex"));
  assert.throws(() => read(tailOf(state, json), 4096), { code: "GODWIT_STREAM_BAD_DEVICES" });
});

test("device state and description keep to their limits", () => {
  const limits = { deviceStateBytes: 1000, descriptionBytes: 1000 };
  const large = boxDevice(Buffer.alloc(1001));
  assert.throws(() => read(tailOf(large.state, large.json), 100, limits), {
    code: "GODWIT_STREAM_OVERSIZED",
  });
  const small = boxDevice(Buffer.alloc(10));
  const padded = Buffer.concat([small.json.subarray(0, -1), Buffer.alloc(1000, " "), Buffer.from("}")]);
  assert.throws(() => read(tailOf(small.state, padded), 100, limits), {
    code: /GODWIT_STREAM_(OVERSIZED|TRUNCATED)/,
  });
});

test("without a description the end is accepted only when asked for", () => {
  const { state } = boxDevice(Buffer.alloc(10));
  const bytes = Buffer.concat([state, Buffer.of(0)]);
  const whole = new DeviceTail(DEFAULT_LIMITS, 0);
  assert.equal(whole.push(bytes, 0, bytes.length), undefined);
  assert.throws(() => whole.finish(false), { code: "GODWIT_STREAM_TRUNCATED" });
  assert.ok(state.equals(whole.finish(true).deviceState));
});
