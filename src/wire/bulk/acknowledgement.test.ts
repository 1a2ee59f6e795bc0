import assert from "node:assert/strict";
import { test } from "node:test";
import { AcknowledgementReader, acknowledgement } from "./acknowledgement.ts";

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
