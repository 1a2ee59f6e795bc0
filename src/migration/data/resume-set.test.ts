import assert from "node:assert/strict";
import { test } from "node:test";
import { PageBitmap, runsOf } from "../../pages/index.ts";
import { Ledger } from "../ledger.ts";
import { type ResumeSetSource, resumeSetSources } from "../resume-set-sources.ts";
import { discardsOf, payingSources, resumeSetOf } from "./resume-set.ts";

const PAGES = 20_000;
const always = () => true;
const only = (learned: Uint32Array) => ({ learned, kernel: null, workingSet: null });

function ledgerOf(): Ledger {
  return Ledger.create([
    { name: "ram", pages: PAGES },
    { name: "vga", pages: 100 },
  ]);
}

function pagesOf(bitmap: PageBitmap | undefined): number[] {
  return Array.from({ length: bitmap!.pageCount }, (_, page) => page).filter((page) => bitmap!.has(page));
}

test("the resume set is what was asked for after earlier moves, as far as it is owed", () => {
  const ledger = ledgerOf();
  for (const page of [3, 4, 7]) ledger.blocks[0]!.owed.set(page);
  ledger.blocks[1]!.owed.set(99);
  const { bitmaps, pages } = resumeSetOf(ledger, only(Uint32Array.of(1, 99, 0, 7, 0, 5, 0, 3)), always, [
    "learned",
  ]);
  assert.equal(pages, 3);
  assert.deepEqual(bitmaps.map(pagesOf), [[3, 7], [99]]);
  assert.equal(ledger.owedPages(), 4);
});

test("a zero page of the resume set is owed, since the guest would wait for it too", () => {
  const ledger = ledgerOf();
  ledger.blocks[0]!.zero.setRange(0, 10);
  const { bitmaps, pages } = resumeSetOf(ledger, only(Uint32Array.of(0, 4)), always, ["learned"]);
  assert.equal(pages, 1);
  assert.deepEqual(pagesOf(bitmaps[0]), [4]);
  assert.equal(ledger.owedPages(), 1);
  assert.equal(ledger.zeroPages(), 9);
});

test("a list of another machine, a torn one and one with repetitions do no harm", () => {
  const ledger = ledgerOf();
  ledger.blocks[0]!.owed.setRange(0, PAGES);
  const learned = Uint32Array.of(2, 0, 0xffff_ffff, 1, 0, PAGES, 0, 0xffff_ffff, 1, 100, 0, 5, 0, 5, 0);
  const { bitmaps, pages } = resumeSetOf(ledger, only(learned), always, ["learned"]);
  assert.equal(pages, 1);
  assert.deepEqual(bitmaps.map(pagesOf), [[5], []]);
});

test("a RAM block that can't be read has no part in the resume set, and its zero pages stay zero", () => {
  const ledger = ledgerOf();
  ledger.blocks[0]!.zero.set(1);
  ledger.blocks[1]!.owed.set(1);
  const { bitmaps, pages } = resumeSetOf(ledger, only(Uint32Array.of(0, 1, 1, 1)), (block) => block === 1, [
    "learned",
  ]);
  assert.equal(pages, 1);
  assert.deepEqual(bitmaps.map(pagesOf), [[], [1]]);
  assert.equal(ledger.zeroPages(), 1);
});

test("the resume set is 4096 pages at most, those that were asked for first", () => {
  const ledger = ledgerOf();
  ledger.blocks[0]!.owed.setRange(0, PAGES);
  const learned = Uint32Array.from(Array.from({ length: 5000 }, (_, index) => [0, 9000 - index]).flat());
  const { bitmaps, pages } = resumeSetOf(ledger, only(learned), always, ["learned"]);
  assert.equal(pages, 4096);
  assert.equal(bitmaps[0]!.count(), 4096);
  assert.ok(bitmaps[0]!.has(9000) && bitmaps[0]!.has(9000 - 4095) && !bitmaps[0]!.has(9000 - 4096));
});

/** A ledger of which pages 0 to 99 are owed, with a page for each source and one that two of them name. */
function scene() {
  const ledger = ledgerOf();
  const ram = ledger.blocks[0]!;
  ram.owed.setRange(0, 100);
  ram.frequent.set(20);
  ram.recent.setRange(20, 22);
  ram.zero.setRange(300, 310);
  ram.hot.setRange(308, 320);
  ram.recent.setRange(309, 320);
  const set = (...pages: number[]) => {
    const bitmap = new PageBitmap(PAGES);
    for (const page of pages) bitmap.set(page);
    return bitmap;
  };
  const kernel = [{ name: "ram", tables: set(30), all: set(30, 31, 200) }];
  const workingSet = [{ name: "ram", touched: set(40, 41, 31), steady: set(40) }];
  return { ledger, hints: { learned: Uint32Array.of(0, 10, 0, 20), kernel, workingSet } };
}

const alone: Readonly<Record<ResumeSetSource, readonly number[]>> = {
  learned: [10, 20],
  kernel: [30, 31],
  written: [20, 21],
  "working-set": [31, 40, 41],
  neighbourhood: [],
  zeroed: [309],
};

for (const source of resumeSetSources) {
  test(`of the sources of the resume set ${source} can be had alone`, () => {
    const { ledger, hints } = scene();
    const { bitmaps, pages, bySource } = resumeSetOf(ledger, hints, always, [source]);
    assert.deepEqual(pagesOf(bitmaps[0]), alone[source]);
    assert.equal(pages, alone[source].length);
    assert.equal(bySource[source], pages);
  });
}

test("what was written to last pays only where the kernel's pages are not known, a working set nowhere", () => {
  assert.deepEqual(payingSources(null), ["learned", "written", "neighbourhood", "zeroed"]);
  assert.deepEqual(payingSources([]), ["learned", "kernel", "neighbourhood", "zeroed"]);
});

test("no source, no resume set", () => {
  const { ledger, hints } = scene();
  assert.equal(resumeSetOf(ledger, hints, always, []).pages, 0);
});

test("of all sources together each page counts for the first that names it, and owed neighbours come along", () => {
  const { ledger, hints } = scene();
  const { bitmaps, pages, bySource } = resumeSetOf(ledger, hints, always);
  const named = { learned: 2, kernel: 2, written: 1, "working-set": 2 };
  // 16 pages behind the last one, 41.
  assert.deepEqual(bySource, { ...named, neighbourhood: 58 - 7, zeroed: 1 });
  assert.equal(pages, 59);
  assert.ok(bitmaps[0]!.has(57) && !bitmaps[0]!.has(58) && !bitmaps[0]!.has(200));
});

test("the kernel's pages are bounded, page tables first", () => {
  const ledger = ledgerOf();
  ledger.blocks[0]!.owed.setRange(0, PAGES);
  const [tables, all] = [new PageBitmap(PAGES), new PageBitmap(PAGES)];
  tables.setRange(19_000, 19_010);
  all.setRange(0, PAGES);
  const hints = { learned: new Uint32Array(), kernel: [{ name: "ram", tables, all }], workingSet: null };
  const { bitmaps, pages } = resumeSetOf(ledger, hints, always, ["kernel"]);
  assert.equal(pages, 2048);
  assert.equal(bitmaps[0]!.countRange(19_000, 19_010), 10);
});

test("zero pages that were written to go, the kernel's first, and none that was sent; they are bounded", () => {
  const ledger = Ledger.create([
    { name: "ram", pages: PAGES },
    { name: "huge", pages: 1024, hostPages: 512 },
  ]);
  const [ram, huge] = ledger.blocks;
  for (const { zero, recent, hot, pages } of ledger.blocks) {
    zero.setRange(0, pages);
    recent.setRange(10, 1000);
    hot.setRange(10, 1024);
  }
  ram!.sent.set(17);
  const all = new PageBitmap(PAGES);
  all.setRange(1000, 1030);
  const kernel = [{ name: "ram", tables: new PageBitmap(PAGES), all }];
  const hints = { ...only(new Uint32Array()), kernel };
  const { bitmaps, pages, bySource } = resumeSetOf(ledger, hints, always, ["zeroed"]);
  assert.deepEqual([pages, bySource.zeroed, ledger.owedPages()], [128, 128, 128]);
  assert.equal(bitmaps[0]!.countRange(1000, PAGES), 24, "what was named again");
  assert.deepEqual(pagesOf(bitmaps[0]).slice(0, 8), [10, 11, 12, 13, 14, 15, 16, 18]);
  assert.ok(ram!.zero.has(17));
  assert.equal(huge!.owed.count(), 0, "a huge page would have to go whole");
});

test("only what was sent and is owed again is discarded, block by block", () => {
  const ledger = ledgerOf();
  const [ram, vga] = ledger.blocks;
  ram!.sent.setRange(10, 20);
  ram!.owed.setRange(0, 12);
  ram!.owed.set(19);
  ram!.owed.setRange(30, 40);
  vga!.sent.setRange(0, 100);
  assert.deepEqual(discardsOf(ledger), [{ block: 0, runs: Uint32Array.of(10, 2, 19, 1) }]);
  assert.equal(ledger.owedPages(), 23);
  vga!.owed.set(99);
  assert.deepEqual(discardsOf(ledger)[1], { block: 1, runs: Uint32Array.of(99, 1) });
});

test("nothing is discarded when nothing was sent", () => {
  const ledger = ledgerOf();
  ledger.blocks[0]!.owed.setRange(0, PAGES);
  assert.deepEqual(discardsOf(ledger), []);
});

for (const runs of [4095, 4096, 4097, 8192, 9999]) {
  test(`${runs} runs are all discarded, each once`, () => {
    const ledger = ledgerOf();
    const ram = ledger.blocks[0]!;
    ram.sent.setRange(0, PAGES);
    const pages = Array.from({ length: runs }, (_, run) => 2 * run);
    for (const page of pages) ram.owed.set(page);
    assert.deepEqual(discardsOf(ledger), [{ block: 0, runs: runsOf(pages) }]);
  });
}

test("a long run behind many short ones is not cut", () => {
  const ledger = ledgerOf();
  const ram = ledger.blocks[0]!;
  ram.sent.setRange(0, PAGES);
  for (let run = 0; run < 4095; run++) ram.owed.set(2 * run);
  ram.owed.setRange(8200, PAGES);
  const [discard] = discardsOf(ledger);
  assert.deepEqual([...discard!.runs.slice(-2)], [8200, PAGES - 8200]);
});
