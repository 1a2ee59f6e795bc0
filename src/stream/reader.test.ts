import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  beginRamPart,
  PAGE_BYTES,
  type RamBlock,
  StreamReader,
  writeHeader,
  writeRamStart,
  writeZeroPage,
} from "./index.ts";
import { configurationRecord, synthetic } from "./testing/synthetic.ts";
import { transcript } from "./testing/transcript.ts";

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 9000 })), {
  minLength: 1,
  maxLength: 6,
});

test("what the writer wrote is read, in any chunks", () => {
  fc.assert(
    fc.property(synthetic, sizes, ({ bytes, entries }, sizes) => {
      assert.deepEqual(transcript(bytes, sizes), entries);
    }),
    { numRuns: 200 },
  );
});

test("with contents not wanted the same pages are named, in any chunks", () => {
  fc.assert(
    fc.property(synthetic, sizes, ({ bytes, entries }, sizes) => {
      const nothing = " 0 da39a3ee5e6b";
      const bare = entries.map((entry) => entry.replace(/^(page \d+ \d+) 4096 \w+$/, `$1${nothing}`));
      assert.deepEqual(transcript(bytes, sizes, { contents: false }), bare);
    }),
    { numRuns: 100 },
  );
});

test("contents can be wanted block by block", () => {
  fc.assert(
    fc.property(synthetic, sizes, ({ bytes, entries }, sizes) => {
      const nothing = " 0 da39a3ee5e6b";
      const expected = entries.map((entry) =>
        entry.replace(/^(page (\d+) \d+) 4096 \w+$/, (whole, start, block) =>
          block % 2 ? whole : start + nothing,
        ),
      );
      const wantsContent = (_block: RamBlock, index: number) => index % 2 === 1;
      assert.deepEqual(transcript(bytes, sizes, { wantsContent }), expected);
    }),
    { numRuns: 100 },
  );
});

test("the reader tells where a record lies", () => {
  const offsets: number[] = [];
  const { bytes } = fc.sample(synthetic, { numRuns: 1, seed: 1 })[0]!;
  const reader = new StreamReader({
    ramSectionStart: () => offsets.push(reader.recordOffset),
    deviceState: () => offsets.push(reader.recordOffset),
    description: () => offsets.push(reader.recordOffset),
  });
  for (const byte of bytes) reader.push(Uint8Array.of(byte));
  reader.end();
  const firsts = offsets.map((offset) => bytes[offset]);
  assert.deepEqual(firsts.slice(-3), [3, 4, 6]);
  assert.equal(firsts[0], 1);
  assert.ok(firsts.slice(1, -3).every((first) => first === 2));
});

const blocks: RamBlock[] = [{ name: "pc.ram", usedBytes: 16 * PAGE_BYTES, pageSizeBytes: PAGE_BYTES }];

/** A stream up to the first RAM part, then `tail`. */
function withTail(...tail: (string | Buffer)[]): Buffer {
  const out = Buffer.alloc(1024);
  const at = writeRamStart(out, writeHeader(out, 0), 2, blocks);
  return Buffer.concat([
    out.subarray(0, at),
    ...tail.map((part) => (typeof part === "string" ? hex(part) : part)),
  ]);
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

function zeroPage(name: string | undefined, page: number): Buffer {
  const out = Buffer.alloc(300);
  return out.subarray(0, writeZeroPage(out, beginRamPart(out, 0, 2), name, page));
}

const HEADER = hex("5145564d 00000003");
const CAPABILITIES = Buffer.concat([
  hex("05 1a"),
  Buffer.from("configuration/capabilities"),
  hex("00000001"),
]);
const RAM_START = hex("01 00000002 03 72616d 00000000 00000004");

const WRONG: Readonly<Record<string, readonly [Buffer, string]>> = {
  "another file": [Buffer.from("hello, world"), "GODWIT_STREAM_BAD_MAGIC"],
  "version 2": [hex("5145564d 00000002"), "GODWIT_STREAM_VERSION"],
  "an unknown record": [withTail("09"), "GODWIT_STREAM_UNKNOWN_RECORD"],
  "a device section amid RAM": [withTail("04 00000005"), "GODWIT_STREAM_UNEXPECTED_RECORD"],
  "an end amid RAM": [withTail("00"), "GODWIT_STREAM_UNEXPECTED_RECORD"],
  "RAM begun twice": [withTail(RAM_START), "GODWIT_STREAM_UNEXPECTED_RECORD"],
  "configuration behind RAM": [withTail(configurationRecord("pc")), "GODWIT_STREAM_UNEXPECTED_RECORD"],
  "a live section other than RAM": [
    withTail("01 00000003 05 626c6f636b 00000000 00000001"),
    "GODWIT_STREAM_UNKNOWN_SECTION",
  ],
  "a part of another section": [withTail("02 00000003"), "GODWIT_STREAM_UNKNOWN_SECTION"],
  "an unknown configuration subsection": [
    Buffer.concat([HEADER, configurationRecord("pc"), hex("05 01 61 00000001")]),
    "GODWIT_STREAM_UNKNOWN_SECTION",
  ],
  "a list of 65 capabilities": [
    Buffer.concat([HEADER, configurationRecord("pc"), CAPABILITIES, hex("00000041"), Buffer.alloc(65)]),
    "GODWIT_STREAM_OVERSIZED",
  ],
  "a stream in file layout": [
    Buffer.concat([
      HEADER,
      configurationRecord("pc"),
      CAPABILITIES,
      hex("00000001 0a"),
      Buffer.from("mapped-ram"),
    ]),
    "GODWIT_STREAM_CAPABILITY",
  ],
  "a machine type without end": [Buffer.concat([HEADER, hex("07 ffffffff")]), "GODWIT_STREAM_OVERSIZED"],
  "an unknown command": [withTail("08 000c 0000"), "GODWIT_STREAM_UNKNOWN_COMMAND"],
  "a ping of 5 bytes": [withTail("08 0002 0005 0000000000"), "GODWIT_STREAM_BAD_COMMAND"],
  "a package of 4 GiB": [withTail("08 0007 0004 ffffffff"), "GODWIT_STREAM_OVERSIZED"],
  "a page without a block": [withTail(zeroPage(undefined, 1)), "GODWIT_STREAM_UNKNOWN_BLOCK"],
  "a page of an unknown block": [withTail(zeroPage("pc.rom", 1)), "GODWIT_STREAM_UNKNOWN_BLOCK"],
  "a page behind the block's end": [withTail(zeroPage("pc.ram", 16)), "GODWIT_STREAM_PAGE_OUT_OF_RANGE"],
  "a page at 2^63": [
    withTail("02 00000002 8000000000000008 06 70632e72616d"),
    "GODWIT_STREAM_PAGE_OUT_OF_RANGE",
  ],
  "a delta-coded page": [withTail("02 00000002 0000000000000040"), "GODWIT_STREAM_CAPABILITY"],
  "a compressed page": [withTail("02 00000002 0000000000000100"), "GODWIT_STREAM_CAPABILITY"],
  "unknown flags": [withTail("02 00000002 0000000000000800"), "GODWIT_STREAM_UNKNOWN_FLAGS"],
  "page and zero at once": [withTail("02 00000002 000000000000000a"), "GODWIT_STREAM_UNKNOWN_FLAGS"],
  "a section without footer": [
    withTail("02 00000002 0000000000000010 0200000002"),
    "GODWIT_STREAM_BAD_FOOTER",
  ],
  "a footer of another section": [
    withTail("02 00000002 0000000000000010 7e00000003"),
    "GODWIT_STREAM_BAD_FOOTER",
  ],
  "RAM without a list": [
    Buffer.concat([HEADER, RAM_START, hex("0000000000000010 7e00000002")]),
    "GODWIT_STREAM_UNEXPECTED_RECORD",
  ],
  "a block larger than all memory": [
    Buffer.concat([HEADER, RAM_START, hex("0000000000001004 0161 0000000000002000")]),
    "GODWIT_STREAM_BAD_BLOCKS",
  ],
  "a block of 2^60 bytes": [
    Buffer.concat([HEADER, RAM_START, hex("1000000000000004 0161 1000000000000000")]),
    "GODWIT_STREAM_OVERSIZED",
  ],
  "one block twice": [
    Buffer.concat([HEADER, RAM_START, hex("0000000000002004 0161 0000000000001000 0161 0000000000001000")]),
    "GODWIT_STREAM_BAD_BLOCKS",
  ],
  "a page size of 3 KiB": [
    Buffer.concat([
      HEADER,
      RAM_START,
      hex("0000000000001004 0161 0000000000001000 0000000000003000 0000000000000010"),
    ]),
    "GODWIT_STREAM_BAD_BLOCKS",
  ],
  "two thousand blocks of nothing": [
    Buffer.concat([
      HEADER,
      RAM_START,
      hex("0000000000001004"),
      ...Array.from({ length: 2000 }, (_, index) =>
        hex(`02 ${(index + 256).toString(16).padStart(4, "0")} ${"00".repeat(8)}`),
      ),
    ]),
    "GODWIT_STREAM_BAD_BLOCKS",
  ],
};

for (const [what, [bytes, code]] of Object.entries(WRONG)) {
  test(`refused, however chunked: ${what}`, () => {
    for (const sizes of [[bytes.length], [1], [3, 5]]) {
      assert.throws(() => transcript(bytes, sizes), { code });
    }
  });
}

test("an error names the byte where the record begins", () => {
  const bytes = withTail(zeroPage("pc.ram", 1).subarray(0, -1), "00", "0000000000010022 00");
  const where = bytes.length - 9;
  for (const sizes of [[bytes.length], [1], [7]]) {
    assert.throws(() => transcript(bytes, sizes), new RegExp(`page 16.*at byte ${where} of`));
  }
});

test("after an error the reader gives the same error again", () => {
  const reader = new StreamReader({});
  assert.throws(() => reader.push(Buffer.from("nonsense")), { code: "GODWIT_STREAM_BAD_MAGIC" });
  assert.throws(() => reader.push(HEADER), { code: "GODWIT_STREAM_BAD_MAGIC" });
  assert.throws(() => reader.end(), { code: "GODWIT_STREAM_BAD_MAGIC" });
});

test("bytes behind the end are an error", () => {
  const { bytes } = fc.sample(synthetic, { numRuns: 1, seed: 1 })[0]!;
  for (const sizes of [[bytes.length + 1], [bytes.length], [11]]) {
    assert.throws(() => transcript(Buffer.concat([bytes, Buffer.of(0)]), sizes), {
      code: "GODWIT_STREAM_ENDED",
    });
  }
});
