import assert from "node:assert/strict";
import { test } from "node:test";
import { Retransmissions } from "./retransmissions.ts";

function segment(sequence: number, payloadBytes: number, { port = 7001, protocol = 6 } = {}): Buffer {
  const frame = Buffer.alloc(14 + 40 + payloadBytes);
  frame.writeUInt16BE(0x0800, 12);
  frame[14] = 0x45;
  frame.writeUInt16BE(40 + payloadBytes, 16);
  frame[23] = protocol;
  frame.writeUInt16BE(port, 34);
  frame.writeUInt32BE(sequence, 38);
  frame[46] = 0x50;
  return frame;
}

function counted(...frames: Buffer[]): number {
  const count = new Retransmissions();
  for (const frame of frames) count.take(frame);
  return count.segments;
}

test("a segment that begins before what was sent already was sent again", () => {
  assert.equal(counted(segment(100, 10), segment(110, 10), segment(120, 10)), 0);
  assert.equal(counted(segment(100, 10), segment(110, 10), segment(100, 10)), 1);
  assert.equal(counted(segment(100, 10), segment(110, 10), segment(100, 20), segment(120, 10)), 1);
});

test("sequence numbers go around, and connections have their own", () => {
  const last = 2 ** 32 - 10;
  assert.equal(counted(segment(last, 20), segment(10, 10)), 0);
  assert.equal(counted(segment(last, 20), segment(10, 10), segment(last, 20)), 1);
  assert.equal(counted(segment(500, 10), segment(100, 10, { port: 7 })), 0);
});

test("acknowledgements, datagrams, padding and what is no frame of IPv4 count nothing", () => {
  const padded = Buffer.concat([segment(100, 0), Buffer.alloc(6)]);
  assert.equal(counted(segment(100, 10), segment(50, 0), padded, segment(50, 10, { protocol: 17 })), 0);
  assert.equal(counted(Buffer.alloc(60), Buffer.alloc(14)), 0);
});
