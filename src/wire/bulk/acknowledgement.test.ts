import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AcknowledgementReader, acknowledgement, pageRequest } from "./acknowledgement.ts";

test("acknowledgements are read in any chunking", () => {
  const reader = new AcknowledgementReader();
  const bytes = Buffer.concat([acknowledgement(1), acknowledgement(3), acknowledgement(200)]);
  for (const byte of bytes) reader.push(Buffer.of(byte), 200);
  assert.equal(reader.placed, 200);
});

test("an acknowledgement of batches that were never sent is refused, and so is one that goes back", () => {
  const reader = new AcknowledgementReader();
  reader.push(acknowledgement(5), 5);
  assert.throws(() => reader.push(acknowledgement(6), 5), { code: "GODWIT_BULK_FRAME" });
  assert.throws(() => reader.push(acknowledgement(4), 5), { code: "GODWIT_BULK_FRAME" });
});

test("the count goes on beyond 32 bits", () => {
  const reader = new AcknowledgementReader();
  const last = 2 ** 32 - 1;
  reader.push(acknowledgement(last), last);
  reader.push(acknowledgement(2 ** 32 + 3), 2 ** 32 + 3);
  assert.equal(reader.placed, 2 ** 32 + 3);
});

test("a page request is told with the largest numbers that it can hold", () => {
  const requests: number[][] = [];
  const reader = new AcknowledgementReader((...request) => requests.push(request));
  reader.push(Buffer.concat([pageRequest(0, 0, 1), pageRequest(65_535, 0xffff_ffff, 65_535)]), 0);
  assert.deepEqual(requests, [
    [0, 0, 1],
    [65_535, 0xffff_ffff, 65_535],
  ]);
  assert.equal(reader.placed, 0);
});

test("page requests and acknowledgements are told apart in any order and any chunking", () => {
  const request = fc.record({
    block: fc.nat(65_535),
    first: fc.oneof(fc.nat(100), fc.constant(0xffff_ffff)),
    count: fc.integer({ min: 1, max: 65_535 }),
  });
  const messages = fc.array(fc.oneof(request, fc.nat(3)));
  const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 });
  fc.assert(
    fc.property(messages, sizes, (messages, sizes) => {
      const told: string[] = [];
      const expected: string[] = [];
      let placed = 0;
      const frames = messages.map((message) => {
        if (typeof message === "number") {
          placed += message;
          return acknowledgement(placed);
        }
        const { block, first, count } = message;
        expected.push(`${block} ${first} ${count}`);
        return pageRequest(block, first, count);
      });
      const bytes = Buffer.concat(frames);
      const reader = new AcknowledgementReader((...request) => told.push(request.join(" ")));
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % sizes.length]!;
        reader.push(bytes.subarray(at, at + size), placed);
        at += size;
      }
      assert.deepEqual(told, expected);
      assert.equal(reader.placed, placed);
    }),
  );
});

test("a request is told as soon as its last byte is there, before an acknowledgement behind it is refused", () => {
  const requests: number[][] = [];
  const reader = new AcknowledgementReader((...request) => requests.push(request));
  const bytes = pageRequest(1, 2, 3);
  reader.push(bytes.subarray(0, 11), 0);
  assert.deepEqual(requests, []);
  assert.throws(() => reader.push(Buffer.concat([bytes.subarray(11), acknowledgement(1)]), 0), {
    code: "GODWIT_BULK_FRAME",
  });
  assert.deepEqual(requests, [[1, 2, 3]]);
});

test("where no requests are taken, their mark is an acknowledgement like any other", () => {
  const reader = new AcknowledgementReader();
  assert.throws(() => reader.push(pageRequest(0, 0, 1), 5), { code: "GODWIT_BULK_FRAME" });
});
