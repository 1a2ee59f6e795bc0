import assert from "node:assert/strict";
import { test } from "node:test";
import { zstdParameters } from "./compressor.ts";
import { PAGE_BYTES } from "./format.ts";
import { fillPage } from "./test-pages.ts";
import { directZstd, nodeZstd, type Zstd } from "./zstd.ts";

const PAGES = 16;
const BYTES = PAGES * PAGE_BYTES;

const ways: readonly [string, () => Zstd][] = [
  ["node's zstd", () => nodeZstd(zstdParameters(1))],
  ["libzstd itself", () => required(directZstd(zstdParameters(1), BYTES))],
];

function required(zstd: Zstd | null): Zstd {
  assert.ok(zstd !== null, "this Node's libzstd can't be called");
  return zstd;
}

function textPages(seed: number): Buffer {
  const pages = Buffer.alloc(BYTES);
  for (let page = 0; page < PAGES; page += 1) fillPage(pages, page * PAGE_BYTES, seed, page, "text");
  return pages;
}

for (const [name, make] of ways) {
  for (const [other, makeOther] of ways) {
    test(`what ${name} compresses ${other} decompresses`, () => {
      const [zstd, reader] = [make(), makeOther()];
      for (let seed = 0; seed < 3; seed += 1) {
        const frame = Buffer.from(zstd.compress(textPages(seed)));
        assert.ok(frame.length < BYTES);
        assert.ok(reader.decompress(frame, BYTES).equals(textPages(seed)));
      }
    });
  }

  test(`${name} refuses a frame that holds more or less than is due`, () => {
    const zstd = make();
    const frame = Buffer.from(zstd.compress(textPages(1)));
    assert.throws(() => zstd.decompress(frame, BYTES - PAGE_BYTES));
    const short = Buffer.from(zstd.compress(textPages(1).subarray(PAGE_BYTES)));
    assert.throws(() => zstd.decompress(short, BYTES));
    assert.ok(zstd.decompress(frame, BYTES).equals(textPages(1)), "and goes on");
  });

  test(`${name} notices a frame that was changed on the way`, () => {
    const zstd = make();
    const frame = Buffer.from(zstd.compress(textPages(2)));
    for (let at = 0; at < frame.length; at += 101) {
      const damaged = Buffer.from(frame);
      damaged[at]! ^= 0x04;
      let contents: Buffer | null = null;
      try {
        contents = zstd.decompress(damaged, BYTES);
      } catch {}
      // A bit of the head may mean nothing for contents of this length.
      assert.ok(contents === null || contents.equals(textPages(2)), `byte ${at}`);
    }
  });
}

test("libzstd itself writes nothing beyond the length that is due", () => {
  const zstd = required(directZstd(zstdParameters(1), BYTES));
  const frame = Buffer.from(zstd.compress(textPages(3)));
  const whole = zstd.decompress(frame, BYTES);
  const guard = Buffer.from(whole.buffer, whole.byteOffset + PAGE_BYTES, BYTES - PAGE_BYTES);
  guard.fill(0xa5);
  assert.throws(() => zstd.decompress(frame, PAGE_BYTES));
  assert.ok(guard.every((byte) => byte === 0xa5));
});
