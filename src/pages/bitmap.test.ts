import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eachPage, PageBitmap, runsOf } from "./index.ts";

const PAGES = 5000;
const page = fc.oneof(fc.nat(PAGES - 1), fc.nat(70), fc.integer({ min: 1000, max: 1100 }));
const range = fc
  .tuple(page, fc.nat(300))
  .map(([from, length]) => [from, Math.min(PAGES, from + length)] as const);
const pageSet = fc.array(range, { maxLength: 20 });

interface Take {
  do: "take";
  range: readonly [number, number];
  maxPages: number;
  room: number;
  only: boolean;
  except: boolean;
  norIn: boolean;
}
type Step =
  | { do: "set"; page: number }
  | { do: "clear"; page: number }
  | { do: "setRange"; range: readonly [number, number] }
  | { do: "clearRange"; range: readonly [number, number] }
  | Take;

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("set" as const), page }),
  fc.record({ do: fc.constant("clear" as const), page }),
  fc.record({ do: fc.constant("setRange" as const), range }),
  fc.record({ do: fc.constant("clearRange" as const), range }),
  fc.record({
    do: fc.constant("take" as const),
    range: fc.oneof(range, fc.constant([0, PAGES] as const)),
    maxPages: fc.oneof(fc.nat(400), fc.constant(PAGES)),
    room: fc.nat(40),
    only: fc.boolean(),
    except: fc.boolean(),
    norIn: fc.boolean(),
  }),
);

function filled(ranges: readonly (readonly [number, number])[]): PageBitmap {
  const bitmap = new PageBitmap(PAGES);
  for (const [from, to] of ranges) bitmap.setRange(from, to);
  return bitmap;
}

function modelTake(model: Set<number>, step: Take, allowed: (page: number) => boolean) {
  const pages: number[] = [];
  let runs = 0;
  for (const page of [...model].sort((a, b) => a - b)) {
    if (page < step.range[0] || page >= step.range[1] || !allowed(page)) continue;
    if (pages.length === step.maxPages) break;
    if (pages.at(-1) !== page - 1 && runs++ === step.room) break;
    pages.push(page);
  }
  return pages;
}

test("a bitmap behaves like a plain set of numbers", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      pageSet,
      pageSet,
      pageSet,
      (steps, onlyRanges, exceptRanges, norRanges) => {
        const bitmap = new PageBitmap(PAGES);
        const model = new Set<number>();
        const only = filled(onlyRanges);
        const except = filled(exceptRanges);
        const nor = filled(norRanges);
        for (const step of steps) {
          const before = model.size;
          if (step.do === "set") {
            model.add(step.page);
            assert.equal(bitmap.set(step.page), model.size > before);
          } else if (step.do === "clear") {
            assert.equal(bitmap.clear(step.page), model.delete(step.page));
          } else if (step.do === "setRange") {
            for (let page = step.range[0]; page < step.range[1]; page++) model.add(page);
            assert.equal(bitmap.setRange(...step.range), model.size - before);
          } else if (step.do === "clearRange") {
            for (let page = step.range[0]; page < step.range[1]; page++) model.delete(page);
            assert.equal(bitmap.clearRange(...step.range), before - model.size);
          } else {
            const filter = {
              only: step.only ? only : undefined,
              except: step.except ? except : undefined,
              norIn: step.norIn ? nor : undefined,
            };
            const allowed = (page: number) =>
              (!step.only || only.has(page)) &&
              (!step.except || !except.has(page)) &&
              (!step.norIn || !nor.has(page));
            const expected = modelTake(model, step, allowed);
            const all = [...model].filter(
              (page) => page >= step.range[0] && page < step.range[1] && allowed(page),
            );
            assert.equal(bitmap.countRange(...step.range, filter), all.length);
            assert.equal(bitmap.next(...step.range, filter), all.length === 0 ? -1 : Math.min(...all));
            const out = new Uint32Array(2 * step.room);
            const read = out.slice();
            const readRuns = bitmap.readRuns(...step.range, step.maxPages, read, filter);
            const runs = bitmap.takeRuns(...step.range, step.maxPages, out, filter);
            assert.deepEqual(out.subarray(0, 2 * runs), runsOf(expected));
            assert.deepEqual(read.subarray(0, 2 * readRuns), runsOf(expected));
            for (const page of expected) model.delete(page);
          }
          assert.equal(bitmap.count(), model.size);
        }
        for (let page = 0; page < PAGES; page++) assert.equal(bitmap.has(page), model.has(page));
      },
    ),
    { numRuns: 300 },
  );
});

test("pages outside the block are refused", () => {
  const bitmap = new PageBitmap(40);
  for (const wrong of [-1, 40, 41, Number.NaN]) {
    assert.throws(() => bitmap.set(wrong), { code: "GODWIT_PAGES_OUT_OF_RANGE" });
    assert.throws(() => bitmap.has(wrong), { code: "GODWIT_PAGES_OUT_OF_RANGE" });
  }
  assert.throws(() => bitmap.setRange(3, 41), { code: "GODWIT_PAGES_OUT_OF_RANGE" });
  assert.throws(() => bitmap.setRange(4, 3), { code: "GODWIT_PAGES_OUT_OF_RANGE" });
  assert.throws(() => new PageBitmap(2 ** 30 + 1), { code: "GODWIT_PAGES_OUT_OF_RANGE" });
  assert.equal(new PageBitmap(0).next(0), -1);
});

test("a guest of 1 TiB fits, and one page in it is found", () => {
  const bitmap = new PageBitmap(2 ** 28);
  assert.ok(bitmap.buffer.byteLength < 34 * 2 ** 20);
  bitmap.set(2 ** 28 - 1);
  bitmap.set(123_456_789);
  const out = new Uint32Array(4);
  assert.equal(bitmap.takeRuns(0, 2 ** 28, 256, out), 2);
  assert.deepEqual([...eachPage(out)], [123_456_789, 2 ** 28 - 1]);
  assert.equal(bitmap.takeRuns(0, 2 ** 28, 256, out), 0);
});
