import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchDecoder } from "./decoder.ts";
import { BatchEncoder } from "./encoder.ts";
import { AT, CODEC_LZ4, HEAD_BYTES, PAGE_BYTES } from "./format.ts";
import { compressLz4, decompressLz4 } from "./lz4.ts";
import { fillPage } from "./test-pages.ts";

function textPages(count: number): Buffer {
  const pages = Buffer.alloc(count * PAGE_BYTES);
  for (let page = 0; page < count; page += 1) fillPage(pages, page * PAGE_BYTES, 0, page, "text");
  return pages;
}

test("an LZ4 block gives back what it was made of", () => {
  const pages = textPages(8);
  const block = compressLz4(pages);
  assert.ok(block.length < pages.length);
  assert.ok(decompressLz4(block, pages.length).equals(pages));
});

test("a block that announces another length than is due is refused before anything is allocated", () => {
  const block = compressLz4(textPages(2));
  for (const announced of [0, PAGE_BYTES, 0xffff_ffff]) {
    block.writeUInt32LE(announced, 0);
    assert.throws(() => decompressLz4(block, 2 * PAGE_BYTES), /instead of 8192/);
  }
  assert.throws(() => decompressLz4(Buffer.alloc(3), 2 * PAGE_BYTES), /of -1 bytes/);
});

test("a batch of LZ4 that was changed on the way is refused, or holds what it held", () => {
  const pages = textPages(4);
  const frame = new BatchEncoder({ compression: "lz4" }).encode(0, Uint32Array.of(10, 4), 1, pages);
  assert.equal(frame[AT.codec], CODEC_LZ4);
  let refused = 0;
  for (let at = HEAD_BYTES; at < frame.length; at += 7) {
    const damaged = Buffer.from(frame);
    damaged[at]! ^= 0x10;
    // A match may be found elsewhere just as well: two blocks can hold the same.
    const onBatch = (
      _block: number,
      _runs: Uint32Array,
      _count: number,
      _zero: Uint8Array,
      contents: Buffer,
    ) => assert.ok(contents.equals(pages), `byte ${at}`);
    const decoder = new BatchDecoder([100], { onBatch });
    try {
      decoder.push(damaged);
    } catch (thrown) {
      assert.equal((thrown as Error).name, "GodwitError");
      refused += 1;
    }
  }
  assert.ok(refused > 0.9 * ((frame.length - HEAD_BYTES) / 7));
});
