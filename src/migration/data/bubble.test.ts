import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Bubble } from "./bubble.ts";

const PAGES = 1_000_000;

function sizeOf({ from, to }: { readonly from: number; readonly to: number }): number {
  return to - from;
}

test("the neighbourhood grows for faults that walk through memory, up to a batch", () => {
  const bubble = new Bubble();
  const sizes: number[] = [];
  for (let fault = 0, page = 500_000; fault < 8; fault++) {
    const around = bubble.around(0, page, PAGES);
    sizes.push(sizeOf(around));
    page = around.to;
  }
  assert.deepEqual(sizes, [24, 48, 96, 192, 256, 256, 256, 256]);
});

test("the neighbourhood shrinks for scattered faults, down to 8 pages", () => {
  const bubble = new Bubble();
  const sizes: number[] = [];
  for (let fault = 1; fault <= 8; fault++) sizes.push(sizeOf(bubble.around(0, fault * 10_000, PAGES)));
  assert.deepEqual(sizes, [24, 18, 13, 9, 8, 8, 8, 8]);
});

test("a fault that comes close to one among others is near, and so is one below it", () => {
  const bubble = new Bubble();
  bubble.around(0, 500_000, PAGES);
  const scattered = sizeOf(bubble.around(0, 100_000, PAGES));
  assert.equal(sizeOf(bubble.around(0, 500_000 - scattered, PAGES)), 2 * scattered);
});

test("faults in another RAM block are not near, and those of long ago are forgotten", () => {
  const bubble = new Bubble();
  bubble.around(0, 500_000, PAGES);
  assert.ok(sizeOf(bubble.around(1, 500_000, PAGES)) < 24);
  for (let fault = 1; fault <= 16; fault++) bubble.around(0, fault * 10_000, PAGES);
  assert.equal(sizeOf(bubble.around(0, 500_001, PAGES)), 8);
});

test("a neighbourhood holds its fault and stays within the RAM block", () => {
  const block = fc.integer({ min: 1, max: 600 });
  const fixed = fc.option(fc.integer({ min: 1, max: 256 }));
  fc.assert(
    fc.property(block, fixed, fc.array(fc.nat(), { minLength: 1 }), (pages, fixedPages, faults) => {
      const bubble = new Bubble(fixedPages);
      for (const fault of faults) {
        const page = fault % pages;
        const { from, to } = bubble.around(0, page, pages);
        assert.ok(from >= 0 && from <= page && page < to && to <= pages, `${from} to ${to} around ${page}`);
      }
    }),
  );
});

test("a neighbourhood at the edge of a RAM block is cut and not moved", () => {
  const bubble = new Bubble(32);
  assert.deepEqual(bubble.around(0, 3, 100), { from: 0, to: 19 });
  assert.deepEqual(bubble.around(0, 98, 100), { from: 82, to: 100 });
});

test("a fixed size stays, whatever the faults", () => {
  const bubble = new Bubble(64);
  for (const page of [5000, 5001, 5002, 90_000, 5003, 700_000]) {
    assert.deepEqual(bubble.around(0, page, PAGES), { from: page - 32, to: page + 32 });
  }
});
