import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { BatchDecoder } from "./decoder.ts";
import { BatchEncoder } from "./encoder.ts";
import { AT, HEAD_BYTES, PAGE_BYTES } from "./format.ts";
import { KEPT_GROUPS, KeptPages, MOST_CHANGED_WORDS, pageContents } from "./kept-pages.ts";
import { fillPage } from "./test-pages.ts";

const GROUP_PAGES = 512;

/** Both ends of a connection over a block of guest memory that is written to between batches. */
class Wire {
  readonly encoder: BatchEncoder;
  readonly #memory: Map<number, Buffer> = new Map();
  readonly #arrived: Map<number, Buffer> = new Map();
  readonly #decoder: BatchDecoder;

  constructor(kept = () => new KeptPages(2), compression: "zstd" | "auto" = "zstd") {
    this.encoder = new BatchEncoder({ compression, kept: kept() });
    const onBatch = (
      _block: number,
      runs: Uint32Array,
      runCount: number,
      zeroFlags: Uint8Array,
      contents: Buffer,
    ) => {
      let index = 0;
      let at = 0;
      for (let run = 0; run < runCount; run += 1) {
        for (let page = runs[2 * run]!; page < runs[2 * run]! + runs[2 * run + 1]!; page += 1, index += 1) {
          if (zeroFlags[index] === 1) this.#arrived.set(page, Buffer.alloc(PAGE_BYTES));
          else {
            this.#arrived.set(page, Buffer.from(contents.subarray(at, at + PAGE_BYTES)));
            at += PAGE_BYTES;
          }
        }
      }
    };
    this.#decoder = new BatchDecoder([1_000_000, 1_000_000], { onBatch }, kept());
  }

  page(page: number): Buffer {
    let contents = this.#memory.get(page);
    if (contents === undefined) {
      contents = Buffer.alloc(PAGE_BYTES);
      fillPage(contents, 0, 0, page, "text");
      this.#memory.set(page, contents);
    }
    return contents;
  }

  /** @returns bytes of the frame */
  send(pages: readonly number[], again = true): number {
    const runs = Uint32Array.from(pages.flatMap((page) => [page, 1]));
    const contents = Buffer.concat(pages.map((page) => this.page(page)));
    const frame = this.encoder.encode(0, runs, pages.length, contents, undefined, again);
    this.#decoder.push(Buffer.from(frame));
    for (const page of pages) assert.ok(this.#arrived.get(page)?.equals(this.page(page)), `page ${page}`);
    return frame.length;
  }
}

test("a page that was kept travels as its difference, in a small part of its size", () => {
  const wire = new Wire();
  const whole = wire.send([7, 8, 9]);
  for (const page of [7, 8, 9]) wire.page(page).writeUInt32LE(0xdeadbeef, 128);
  const changed = wire.send([7, 8, 9]);
  assert.equal(wire.encoder.counters.differencePages, 3);
  assert.ok(changed < whole / 10, `${changed} bytes of ${whole}`);
});

test("a page that changed in more places than pays travels whole, and its next difference is from that", () => {
  const wire = new Wire();
  wire.send([7]);
  for (let word = 0; word <= MOST_CHANGED_WORDS; word += 1) wire.page(7)[4 * word]! ^= 1;
  wire.send([7]);
  assert.equal(wire.encoder.counters.differencePages, 0);
  wire.page(7)[0]! ^= 1;
  wire.send([7]);
  assert.equal(wire.encoder.counters.differencePages, 1);
});

test("a page that comes once is not kept, and with compression off none is", () => {
  const wire = new Wire();
  wire.send([7], false);
  wire.send([7]);
  assert.equal(wire.encoder.counters.differencePages, 0);
  const encoder = new BatchEncoder({ compression: "none", kept: new KeptPages(1) });
  for (let time = 0; time < 2; time += 1)
    encoder.encode(0, Uint32Array.of(7, 1), 1, wire.page(7), undefined, true);
  assert.equal(encoder.counters.differencePages, 0);
});

test("where compression doesn't pay, differences are compressed all the same", () => {
  const wire = new Wire(undefined, "auto");
  wire.encoder.hurried = true;
  assert.ok(wire.send([7, 8]) > 2 * PAGE_BYTES);
  wire.page(7)[0]! ^= 1;
  assert.ok(wire.send([7, 8]) < PAGE_BYTES);
});

test("whatever is written and sent in whatever order arrives as it is", () => {
  const pagesArbitrary = fc.uniqueArray(fc.constantFrom(0, 1, 2, 31_232, 31_233, 62_464, 500_000), {
    minLength: 1,
  });
  const stepArbitrary = fc.record({
    pages: pagesArbitrary.map((pages) => pages.sort((one, other) => one - other)),
    again: fc.boolean(),
    change: fc.constantFrom("nothing", "a word", "everything", "to zero"),
  });
  fc.assert(
    fc.property(fc.array(stepArbitrary, { maxLength: 20 }), (steps) => {
      const wire = new Wire();
      for (const [index, { pages, again, change }] of steps.entries()) {
        const page = wire.page(pages[0]!);
        if (change === "a word") page.writeUInt32LE(index + 1, 400);
        if (change === "everything") fillPage(page, 0, 1, index, "random");
        if (change === "to zero") page.fill(0);
        wire.send(pages, again);
      }
    }),
    { numRuns: 50 },
  );
});

test("the groups of one connection fill all slots before one is used again", () => {
  for (let connections = 1; connections <= 16; connections += 1) {
    const kept = new KeptPages(connections);
    const contents = pageContents(Buffer.alloc(PAGE_BYTES));
    const groups = Math.floor(KEPT_GROUPS / connections) - 3;
    const pageOf = (group: number) => group * connections * GROUP_PAGES;
    for (let group = 0; group < groups; group += 1) kept.keep(0, pageOf(group), contents, 0);
    for (let group = 0; group < groups; group += 1) assert.ok(kept.has(0, pageOf(group)), `${connections}`);
    assert.equal(kept.has(1, 0), false, "another RAM block's page is another page");
  }
});

test("a difference from a page that isn't kept is refused, and so are kept pages where none were agreed on", () => {
  const sender = new KeptPages(1);
  const page = Buffer.alloc(PAGE_BYTES, 1);
  const encoder = new BatchEncoder({ kept: sender });
  const send = () => Buffer.from(encoder.encode(0, Uint32Array.of(3, 1), 1, page, undefined, true));
  const [first, second] = [send(), send()];
  second.writeUInt32LE(0, AT.sequence);
  const decoder = () => new BatchDecoder([10], { onBatch: () => {} }, new KeptPages(1));
  assert.throws(() => decoder().push(second), { code: "GODWIT_BULK_CHECKSUM" });
  const renumbered = new BatchEncoder({ kept: sender });
  const lone = renumbered.encode(0, Uint32Array.of(3, 1), 1, page, undefined, true);
  assert.throws(() => decoder().push(Buffer.from(lone)), { code: "GODWIT_BULK_FRAME" });
  assert.throws(() => new BatchDecoder([10], { onBatch: () => {} }).push(first), {
    code: "GODWIT_BULK_FRAME",
  });
  const end = encoder.endOfSet(0).subarray(0, HEAD_BYTES);
  end[AT.keeping] = 1;
  end.writeUInt32LE(0, AT.sequence);
  assert.throws(() => decoder().push(end), { code: "GODWIT_BULK_FRAME" });
});

test("a bitmap of differences that marks pages beyond the batch is refused", () => {
  const page = Buffer.alloc(PAGE_BYTES, 1);
  const encoder = new BatchEncoder({ kept: new KeptPages(1) });
  const frame = Buffer.from(encoder.encode(0, Uint32Array.of(3, 1), 1, page, undefined, true));
  const bitmapAt = HEAD_BYTES + frame.readUInt16LE(AT.runBytes);
  const resealed = (bits: number) => {
    const changed = Buffer.from(frame);
    changed[bitmapAt] = bits;
    changed.writeUInt32LE(0, AT.crc);
    changed.writeUInt32LE(crc32(changed.subarray(0, bitmapAt + 1)), AT.crc);
    return changed;
  };
  const push = (bytes: Buffer) => new BatchDecoder([10], { onBatch: () => {} }, new KeptPages(1)).push(bytes);
  push(resealed(0));
  assert.throws(() => push(resealed(2)), { code: "GODWIT_BULK_FRAME", message: /more pages/ });
});
