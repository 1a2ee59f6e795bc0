import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  PAGE_BYTES,
  type RamBlock,
  RamSectionWriter,
  ramSectionBytes,
  StreamReader,
  writeHeader,
  writeRamStart,
} from "./index.ts";
import { transcriber } from "./testing/transcript.ts";

const blocks: RamBlock[] = [
  { name: "pc.ram", usedBytes: 2 ** 41, pageSizeBytes: PAGE_BYTES },
  { name: "/rom@etc/acpi/tables", usedBytes: 2 ** 41, pageSizeBytes: PAGE_BYTES },
  { name: "x".repeat(255), usedBytes: 2 ** 41, pageSizeBytes: PAGE_BYTES },
];
const page = fc.record({
  block: fc.nat(2),
  page: fc.nat(2 ** 29 - 1),
  zero: fc.boolean(),
  byte: fc.nat(255),
});

test("sections composed again and again in one buffer are read as they were meant", () => {
  fc.assert(
    fc.property(fc.array(fc.array(page, { maxLength: 20 }), { maxLength: 5 }), (sections) => {
      const actual: string[] = [];
      const expected: string[] = [];
      const expect = transcriber(expected);
      const reader = new StreamReader(transcriber(actual));
      const start = Buffer.alloc(1024);
      reader.push(start.subarray(0, writeRamStart(start, writeHeader(start, 0), 0xfffffffe, blocks)));
      actual.length = 0;
      const writer = new RamSectionWriter(0xfffffffe, blocks, Buffer.alloc(ramSectionBytes(20)));
      const source = Buffer.alloc(3 * PAGE_BYTES);
      for (const pages of sections) {
        writer.begin();
        expect.ramSectionStart("part");
        for (const { block, page, zero, byte } of pages) {
          source.fill(byte, 100, 100 + PAGE_BYTES);
          if (zero) writer.zero(block, page);
          else writer.page(block, page, source, 100);
          if (zero) expect.zeroPage(block, page, 0);
          else expect.page(block, page, source, 100);
        }
        assert.equal(writer.pageCount, pages.length);
        reader.push(writer.finish());
        expect.ramSectionEnd("part");
      }
      assert.deepEqual(actual, expected);
    }),
  );
});

test("each section names the block of its first page: the one before may go another way", () => {
  const writer = new RamSectionWriter(2, blocks, Buffer.alloc(ramSectionBytes(2)));
  for (let section = 0; section < 2; section++) {
    writer.begin();
    writer.zero(0, 1);
    writer.zero(0, 2);
    const names = writer
      .finish()
      .toString("latin1")
      .match(/pc\.ram/g);
    assert.equal(names?.length, 1);
  }
});

test("a full buffer is an error and not a torn section", () => {
  const writer = new RamSectionWriter(2, blocks, Buffer.alloc(ramSectionBytes(2)));
  const source = Buffer.alloc(PAGE_BYTES);
  writer.begin();
  for (let page = 0; writer.hasRoom; page++) writer.page(2, page, source, 0);
  assert.ok(writer.pageCount >= 2);
  assert.throws(() => writer.page(0, 9, source, 0), { code: "GODWIT_STREAM_OVERSIZED" });
  assert.throws(() => writer.zero(0, 9), { code: "GODWIT_STREAM_OVERSIZED" });
  assert.equal(writer.finish().at(-5), 0x7e);
});

test("an unknown block is an error", () => {
  const writer = new RamSectionWriter(2, blocks, Buffer.alloc(ramSectionBytes(2)));
  writer.begin();
  assert.throws(() => writer.zero(3, 0), { code: "GODWIT_STREAM_UNKNOWN_BLOCK" });
});
