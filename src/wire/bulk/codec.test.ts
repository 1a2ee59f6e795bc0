import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, crc32, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import type { CompressionMode } from "./choice.ts";
import { BatchDecoder, type BatchHandler } from "./decoder.ts";
import { BatchEncoder } from "./encoder.ts";
import {
  AT,
  type BulkTotals,
  CODEC_ZSTD,
  HEAD_BYTES,
  MAXIMUM_BATCH_PAGES,
  MAXIMUM_FRAME_BYTES,
  PAGE_BYTES,
  pageArea,
} from "./format.ts";
import { fillPage, fillRuns, type PageKind, writeText } from "./test-pages.ts";

const BLOCK_PAGES = [100_000, 64];

interface Delivered {
  readonly block: number;
  /** Page number and contents, zeros filled in. */
  readonly pages: Map<number, Buffer>;
}

/** Collects batches as pages, the way a receiver places them. */
function collect(into: Delivered[], more: Partial<BatchHandler> = {}): BatchHandler {
  return {
    onBatch(block, runs, runCount, zeroFlags, contents) {
      const pages = new Map<number, Buffer>();
      let index = 0;
      let at = 0;
      for (let run = 0; run < runCount; run += 1) {
        for (let page = 0; page < (runs[2 * run + 1] as number); page += 1) {
          const zero = zeroFlags[index] === 1;
          const content = zero
            ? Buffer.alloc(PAGE_BYTES)
            : Buffer.from(contents.subarray(at, at + PAGE_BYTES));
          pages.set((runs[2 * run] as number) + page, content);
          index += 1;
          if (!zero) at += PAGE_BYTES;
        }
      }
      assert.equal(at, contents.length);
      into.push({ block, pages });
    },
    ...more,
  };
}

const runsArbitrary = fc
  .array(fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 40 })), { minLength: 1, maxLength: 12 })
  .map((gaps) => {
    const runs: number[] = [];
    let end = 0;
    let pages = 0;
    for (const [gap, length] of gaps) {
      const taken = Math.min(length, MAXIMUM_BATCH_PAGES - pages);
      if (taken === 0) break;
      runs.push(end + gap, taken);
      end += gap + taken;
      pages += taken;
    }
    return new Uint32Array(runs);
  });
const kindArbitrary = fc.constantFrom<PageKind | undefined>("zero", "text", "random", "sparse", undefined);
const modeArbitrary = fc.constantFrom<CompressionMode>("none", "zstd", "auto", "lz4");

test("pages come out as they went in, whatever they hold and however the bytes are cut", () => {
  const buffer = Buffer.alloc(MAXIMUM_BATCH_PAGES * PAGE_BYTES);
  const frameBuffer = Buffer.alloc(MAXIMUM_FRAME_BYTES);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(runsArbitrary, kindArbitrary), { minLength: 1, maxLength: 4 }),
      modeArbitrary,
      fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1 }),
      fc.boolean(),
      (batches, compression, cuts, inPlace) => {
        const encoder = new BatchEncoder({ compression });
        const frames: Buffer[] = [];
        for (const [runs, kind] of batches) {
          const pages = fillRuns(buffer, 0, runs, runs.length / 2, kind);
          const input = buffer.subarray(0, pages * PAGE_BYTES);
          const before = crc32(input);
          const area = pageArea(frameBuffer);
          if (inPlace) input.copy(area);
          const given = inPlace ? area.subarray(0, input.length) : input;
          frames.push(Buffer.from(encoder.encode(0, runs, runs.length / 2, given, frameBuffer)));
          assert.equal(crc32(input), before, "the caller's pages are left alone");
        }
        frames.push(Buffer.from(encoder.endOfSet(77)), Buffer.from(encoder.goodbye()));
        const delivered: Delivered[] = [];
        const sets: [number, BulkTotals][] = [];
        const decoder = new BatchDecoder(
          BLOCK_PAGES,
          collect(delivered, { onEndOfSet: (set, totals) => sets.push([set, totals]) }),
        );
        const bytes = Buffer.concat(frames);
        for (let at = 0, cut = 0; at < bytes.length; cut += 1) {
          const length = cuts[cut % cuts.length] as number;
          decoder.push(bytes.subarray(at, at + length));
          at += length;
        }
        assert.ok(decoder.ended);
        assert.deepEqual(sets, [[77, encoder.totals]]);
        assert.equal(delivered.length, batches.length);
        for (const [index, [runs, kind]] of batches.entries()) {
          const expected = Buffer.alloc(PAGE_BYTES);
          let pages = 0;
          for (let run = 0; run < runs.length; run += 2) {
            for (
              let page = runs[run] as number;
              page < (runs[run] as number) + (runs[run + 1] as number);
              page += 1
            ) {
              fillPage(expected, 0, 0, page, kind);
              assert.ok(delivered[index]?.pages.get(page)?.equals(expected), `page ${page}`);
              pages += 1;
            }
          }
          assert.equal(delivered[index]?.pages.size, pages);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("every pattern of zero pages arrives, whether the pages are read in place or not", () => {
  const runs = new Uint32Array([7, 6]);
  const frameBuffer = Buffer.alloc(MAXIMUM_FRAME_BYTES);
  for (let pattern = 0; pattern < 64; pattern += 1) {
    for (const pages of [Buffer.alloc(6 * PAGE_BYTES), pageArea(frameBuffer).subarray(0, 6 * PAGE_BYTES)]) {
      for (let page = 0; page < 6; page += 1) {
        fillPage(pages, page * PAGE_BYTES, 0, 7 + page, (pattern >> page) & 1 ? "zero" : "random");
      }
      const expected = Buffer.from(pages);
      const delivered: Delivered[] = [];
      const frame = new BatchEncoder().encode(0, runs, 1, pages, frameBuffer);
      new BatchDecoder(BLOCK_PAGES, collect(delivered)).push(frame);
      assert.deepEqual(
        Buffer.concat([...(delivered[0]?.pages.values() ?? [])]),
        expected,
        `pattern ${pattern}`,
      );
    }
  }
});

test("a MiB of zeros costs less than 50 bytes, and counts as zero pages", () => {
  const encoder = new BatchEncoder();
  const zeros = Buffer.alloc(MAXIMUM_BATCH_PAGES * PAGE_BYTES);
  const frame = encoder.encode(0, new Uint32Array([90_000, 256]), 1, zeros);
  assert.ok(frame.length < 50, `${frame.length} bytes`);
  assert.deepEqual(encoder.totals, { batches: 1, pages: 256, zeroPages: 256 });
});

test("contents that don't shrink travel as they are, and no frame is larger than its pages and its head", () => {
  const encoder = new BatchEncoder({ compression: "zstd" });
  const pages = Buffer.alloc(MAXIMUM_BATCH_PAGES * PAGE_BYTES);
  for (let batch = 0; batch < 4; batch += 1) {
    const runs = new Uint32Array([batch * 256, 256]);
    for (let at = 0; at < pages.length; at += 65_536) crypto.getRandomValues(pages.subarray(at, at + 65_536));
    assert.ok(encoder.encode(0, runs, 1, pages).length <= pages.length + HEAD_BYTES + 10);
  }
  assert.equal(encoder.counters.compressedBatches, 0);
  writeText(pages, 7);
  assert.ok(encoder.encode(0, new Uint32Array([2000, 256]), 1, pages).length < pages.length / 2);
  assert.equal(encoder.counters.compressedBatches, 1, "compression is back at the first batch that shrinks");
});

test("the encoder refuses what the decoder would", () => {
  const encoder = new BatchEncoder();
  const pages = Buffer.alloc(257 * PAGE_BYTES);
  for (const runs of [[], [0, 0], [0, 257], [5, 2, 6, 1], [9, 1, 0, 1]]) {
    assert.throws(() => encoder.encode(0, new Uint32Array(runs), runs.length / 2, pages), {
      code: "GODWIT_BULK_BATCH",
    });
  }
  assert.throws(() => encoder.encode(0, new Uint32Array([0, 2]), 1, pages.subarray(0, 5000)), {
    code: "GODWIT_BULK_BATCH",
  });
});

/** A small valid batch with a mixed bitmap and two runs. */
function sampleFrame(compression: CompressionMode): Buffer {
  const runs = new Uint32Array([3, 4, 20, 3]);
  const pages = Buffer.alloc(7 * PAGE_BYTES);
  for (const page of [0, 2, 3, 6]) fillPage(pages, page * PAGE_BYTES, 1, page, "text");
  return Buffer.from(new BatchEncoder({ compression }).encode(1, runs, 2, pages));
}

/** What a decoder does with bytes: the batches it delivered and the code of its error. */
function decode(bytes: Buffer): {
  delivered: number;
  pages: Delivered | undefined;
  code: string | undefined;
} {
  const delivered: Delivered[] = [];
  const decoder = new BatchDecoder(BLOCK_PAGES, collect(delivered));
  try {
    decoder.push(bytes);
  } catch (thrown) {
    return { delivered: delivered.length, pages: delivered[0], code: (thrown as { code: string }).code };
  }
  return { delivered: delivered.length, pages: delivered[0], code: undefined };
}

for (const compression of ["none", "zstd"] as const) {
  test(`no damage to a frame (${compression}) gets through`, () => {
    const frame = sampleFrame(compression);
    const { pages: expected } = decode(frame);
    assert.equal(expected?.pages.size, 7);
    for (let at = 0; at < frame.length; at += at < 200 ? 1 : 13) {
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = Buffer.from(frame);
        damaged[at] = (damaged[at] as number) ^ flip;
        const { pages, code } = decode(damaged);
        // zstd has bits that mean nothing: such damage may pass, since it changes no page.
        if (pages !== undefined) assert.deepEqual(pages, expected, `byte ${at} damaged by ${flip}`);
        if (code !== undefined) assert.match(code, /^GODWIT_BULK_/);
      }
    }
  });
}

/** A frame changed on purpose by somebody who knows the format: the checksum is right. */
function forge(change: (frame: Buffer) => Buffer | undefined): Buffer {
  const original = sampleFrame("none");
  const frame = change(original) ?? original;
  const payloadAt = HEAD_BYTES + frame.readUInt16LE(AT.runBytes) + frame.readUInt16LE(AT.bitmapBytes);
  frame.writeUInt32LE(0, AT.crc);
  const crc = crc32(
    frame.subarray(0, payloadAt),
    frame[AT.codec] === CODEC_ZSTD ? 0 : crc32(frame.subarray(payloadAt)),
  );
  frame.writeUInt32LE(crc, AT.crc);
  return frame;
}

const RUNS_AT = HEAD_BYTES;
const BITMAP_AT = HEAD_BYTES + 4;
const PAYLOAD_AT = BITMAP_AT + 1;

function withPayload(frame: Buffer, payload: Buffer): Buffer {
  const changed = Buffer.concat([frame.subarray(0, PAYLOAD_AT), payload]);
  changed[AT.codec] = CODEC_ZSTD;
  changed.writeUInt32LE(payload.length, AT.payloadBytes);
  return changed;
}

function zstd(bytes: number, checksumFlag = 1): Buffer {
  return zstdCompressSync(Buffer.alloc(bytes), { params: { [constants.ZSTD_c_checksumFlag]: checksumFlag } });
}

const forgeries: Readonly<Record<string, (frame: Buffer) => Buffer | undefined>> = {
  "a block that there isn't": (frame) => void frame.writeUInt16LE(2, AT.block),
  "a run beyond the block's end": (frame) => void frame.writeUInt8(60, RUNS_AT + 2),
  "an empty run": (frame) => void frame.writeUInt8(0, RUNS_AT + 1),
  "runs with more pages than the batch": (frame) => void frame.writeUInt8(5, RUNS_AT + 1),
  "a run number without end": (frame) => void frame.fill(0xff, RUNS_AT, RUNS_AT + 4),
  "more runs than pages": (frame) => void frame.writeUInt16LE(8, AT.runs),
  "fewer runs than bytes of them": (frame) => void frame.writeUInt16LE(1, AT.runs),
  "no pages": (frame) => void frame.writeUInt16LE(0, AT.pages),
  "more pages than a batch holds": (frame) => void frame.writeUInt16LE(257, AT.pages),
  "a bitmap with too many zeros": (frame) => void frame.writeUInt8(0x7f, BITMAP_AT),
  "a bitmap that marks a page that there isn't": (frame) => void frame.writeUInt8(0x80 | 0x30, BITMAP_AT),
  "contents of another length": (frame) => void frame.writeUInt32LE(5 * PAGE_BYTES, AT.contentBytes),
  "a payload of 4 GiB": (frame) => void frame.writeUInt32LE(0xffff_ffff, AT.payloadBytes),
  "an unknown codec": (frame) => void frame.writeUInt8(9, AT.codec),
  "an unknown type": (frame) => void frame.writeUInt8(9, AT.type),
  "another sequence number": (frame) => void frame.writeUInt32LE(5, AT.sequence),
  "zstd without a checksum": (frame) => withPayload(frame, zstd(4 * PAGE_BYTES, 0)),
  "zstd that is nearly too long": (frame) => withPayload(frame, zstd(4 * PAGE_BYTES + 1)),
  "zstd that is none": (frame) => withPayload(frame, Buffer.from("nonsense!")),
  "zstd that bursts": (frame) => withPayload(frame, zstd(50_000_000)),
  "zstd that is too short": (frame) => withPayload(frame, zstd(4 * PAGE_BYTES - 1)),
};

for (const [what, change] of Object.entries(forgeries)) {
  test(`a frame with ${what} and a right checksum is refused`, () => {
    const { delivered, code } = decode(forge(change));
    assert.equal(delivered, 0);
    assert.match(code ?? "nothing", /^GODWIT_BULK_(FRAME|SEQUENCE)$/);
  });
}

test("the forger's tool itself makes frames that are taken", () => {
  for (const change of [() => undefined, (frame: Buffer) => withPayload(frame, zstd(4 * PAGE_BYTES))]) {
    const { delivered, code } = decode(forge(change));
    assert.deepEqual([delivered, code], [1, undefined]);
  }
});

test("totals that disagree are an error: a batch was lost", () => {
  const encoder = new BatchEncoder();
  encoder.encode(0, new Uint32Array([0, 1]), 1, Buffer.alloc(PAGE_BYTES));
  const end = Buffer.from(encoder.endOfSet(1));
  assert.equal(decode(end).code, "GODWIT_BULK_SEQUENCE");
  end.writeUInt32LE(0, AT.sequence);
  end.writeUInt32LE(0, AT.crc);
  end.writeUInt32LE(crc32(end), AT.crc);
  assert.equal(decode(end).code, "GODWIT_BULK_TOTALS");
});

test("nothing is taken after a goodbye or after an error", () => {
  const encoder = new BatchEncoder();
  const goodbye = Buffer.from(encoder.goodbye());
  assert.equal(decode(Buffer.concat([goodbye, Buffer.from([1])])).code, "GODWIT_BULK_ENDED");
  const decoder = new BatchDecoder(BLOCK_PAGES, { onBatch: () => assert.fail() });
  assert.throws(() => decoder.push(Buffer.alloc(64)), { code: "GODWIT_BULK_FRAME" });
  assert.throws(() => decoder.push(sampleFrame("none")), { code: "GODWIT_BULK_ENDED" });
});

test("random bytes never hang the decoder nor deliver anything", () => {
  const head = sampleFrame("zstd").subarray(0, HEAD_BYTES);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(HEAD_BYTES), (bytes, kept) => {
      const { delivered, code } = decode(Buffer.concat([head.subarray(0, kept), bytes]));
      assert.equal(delivered, 0);
      if (code !== undefined) assert.match(code, /^GODWIT_BULK_/);
    }),
    { numRuns: 500 },
  );
});
