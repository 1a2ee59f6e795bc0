import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PageBitmap } from "../../pages/index.ts";
import { Ledger } from "../ledger.ts";
import { discardsOf, resumeSetOf } from "./resume-set.ts";
import { inWholeHostPages } from "./whole-resume-set.ts";

const HOST_PAGES = 512;
const PAGES = 20 * HOST_PAGES + 100;

function ledgerOf(): Ledger {
  return Ledger.create([
    { name: "ram", pages: PAGES, hostPages: HOST_PAGES },
    { name: "vga", pages: 100 },
  ]);
}

function setOf(ledger: Ledger, learned: number[]) {
  const hints = { learned: Uint32Array.from(learned), kernel: null, workingSet: null };
  return inWholeHostPages(
    ledger,
    resumeSetOf(ledger, hints, () => true, ["learned"]),
  );
}

test("a resume set has what is owed of its host pages, and what is owed of others is owed whole", () => {
  const ledger = ledgerOf();
  const [ram, vga] = ledger.blocks;
  ram!.sent.setRange(0, 2 * HOST_PAGES);
  ram!.zero.setRange(2 * HOST_PAGES, PAGES);
  for (const page of [3, 7, HOST_PAGES + 9]) ram!.owed.set(page);
  vga!.owed.setRange(4, 6);
  const { bitmaps, pages } = setOf(ledger, [0, 3, 1, 4]);
  assert.equal(pages, 3);
  assert.ok(bitmaps[0]!.has(3) && bitmaps[0]!.has(7) && bitmaps[1]!.has(4));
  assert.equal(ram!.owed.countRange(0, HOST_PAGES), 2);
  assert.equal(ram!.owed.countRange(HOST_PAGES, 2 * HOST_PAGES), HOST_PAGES);
  assert.equal(ram!.owed.countRange(2 * HOST_PAGES, PAGES), 0);
  assert.equal(vga!.owed.count(), 2);
});

test("the last host page of a block may be smaller, and zero pages of one that is owed are owed with it", () => {
  const ledger = ledgerOf();
  const ram = ledger.blocks[0]!;
  ram.zero.setRange(20 * HOST_PAGES, PAGES);
  ram.zero.clear(PAGES - 1);
  ram.owed.set(PAGES - 1);
  setOf(ledger, []);
  assert.equal(ram.owed.count(), 100);
  assert.equal(ram.zero.count(), 0);
  assert.deepEqual(discardsOf(ledger), []);
});

test("host pages of which most is wanted come first, within the bound", () => {
  const ledger = ledgerOf();
  ledger.blocks[0]!.owed.setRange(0, PAGES);
  const wanted = Array.from({ length: 20 }, (_, host) => host * HOST_PAGES).flatMap((page) => [0, page]);
  const { bitmaps, pages } = setOf(ledger, [...wanted, 0, 19 * HOST_PAGES + 1]);
  assert.equal(pages, 8 * HOST_PAGES);
  assert.equal(bitmaps[0]!.countRange(19 * HOST_PAGES, 20 * HOST_PAGES), HOST_PAGES);
});

test("what is stale is discarded in whole host pages, those in a row as one", () => {
  const ledger = ledgerOf();
  const ram = ledger.blocks[0]!;
  ram.sent.set(5);
  ram.sent.set(HOST_PAGES + 5);
  ram.sent.set(4 * HOST_PAGES);
  for (const page of [0, HOST_PAGES, 2 * HOST_PAGES, 4 * HOST_PAGES + 1]) ram.owed.set(page);
  setOf(ledger, []);
  const runs = Uint32Array.of(0, 2 * HOST_PAGES, 4 * HOST_PAGES, HOST_PAGES);
  assert.deepEqual(discardsOf(ledger), [{ block: 0, runs }]);
});

test("whatever was sent, zero or owed, a host page is at the end all there, all owed, or untouched", () => {
  const page = fc.nat(PAGES - 1);
  fc.assert(
    fc.property(fc.array(page), fc.array(page), fc.array(page), (sent, owed, wanted) => {
      const ledger = ledgerOf();
      const ram = ledger.blocks[0]!;
      ram.zero.setRange(0, PAGES);
      for (const each of sent) {
        ram.sent.set(each);
        ram.zero.clear(each);
      }
      for (const each of owed) {
        ram.owed.set(each);
        ram.zero.clear(each);
      }
      const { bitmaps } = setOf(
        ledger,
        wanted.flatMap((each) => [0, each]),
      );
      const left = new PageBitmap(PAGES);
      for (let each = 0; each < PAGES; each++) {
        if (ram.owed.has(each) && !bitmaps[0]!.has(each)) left.set(each);
      }
      for (let from = 0; from < PAGES; from += HOST_PAGES) {
        const to = Math.min(PAGES, from + HOST_PAGES);
        assert.ok([0, to - from].includes(left.countRange(from, to)), `host page at ${from} is left in part`);
      }
    }),
    { numRuns: 50 },
  );
});
