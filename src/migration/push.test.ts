import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eachPage } from "../pages/index.ts";
import { Ledger } from "./ledger.ts";
import { Push } from "./push.ts";
import { LATE_BATCH_PAGES } from "./scheduler.ts";

const PAGES = 5000;

function ledgerWith(owed: readonly number[], hot: readonly number[] = []): Ledger {
  const ledger = Ledger.create([
    { name: "ram", pages: PAGES },
    { name: "vga", pages: 100 },
  ]);
  for (const page of owed) ledger.blocks[0]!.owed.set(page);
  for (const page of hot) ledger.blocks[0]!.hot.set(page);
  return ledger;
}

function taken(push: Push): number[] | null {
  const batch = push.take(0);
  return batch === null ? null : [...eachPage(batch.runs)];
}

test("without a fault hot pages go first, then the rest, each from the first page on", () => {
  const push = new Push(ledgerWith([1, 2, 3, 40, 41, 4999], [2, 41, 50]));
  assert.deepEqual(taken(push), [2, 41]);
  assert.deepEqual(taken(push), [1, 3, 40, 4999]);
  assert.equal(taken(push), null);
});

test("what lies behind the latest fault goes first, hot or not, and nothing from before it", () => {
  const ledger = ledgerWith([10, 990, 1000, 1001, 2023, 2024], [10, 1001]);
  const push = new Push(ledger);
  ledger.faulted(0, 999);
  assert.deepEqual(taken(push), [1000, 1001]);
  assert.deepEqual(taken(push), [10]);
  assert.deepEqual(taken(push), [2023, 2024]);
  assert.deepEqual(taken(push), [990]);
  assert.equal(taken(push), null);
});

test("a later fault is followed instead of the one before, also amid the rest", () => {
  const all = Array.from({ length: PAGES }, (_, page) => page);
  const ledger = ledgerWith(all);
  const push = new Push(ledger);
  assert.equal(taken(push)?.[0], 0);
  ledger.faulted(0, 1000);
  assert.equal(taken(push)?.[0], 1000);
  assert.equal(taken(push)?.[0], 1000 + LATE_BATCH_PAGES);
  ledger.faulted(0, 4000);
  assert.equal(taken(push)?.[0], 4000);
});

test("a fault at the end of a RAM block has nothing behind it, and hot pages follow", () => {
  const ledger = ledgerWith([5, 7], [7]);
  const push = new Push(ledger);
  ledger.faulted(1, 99);
  assert.deepEqual(taken(push), [7]);
});

test("hot pages and the rest go on from the latest fault and end with what lies before it", () => {
  const ledger = ledgerWith([5, 6, 3000, 3001, 4000, 4500], [5, 3001, 4000]);
  const push = new Push(ledger);
  ledger.faulted(0, 1500);
  assert.deepEqual(taken(push), [3001, 4000]);
  assert.deepEqual(taken(push), [5]);
  assert.deepEqual(taken(push), [3000, 4500]);
  assert.deepEqual(taken(push), [6]);
  assert.equal(taken(push), null);
});

test("a fault amid the last pages begins anew from there", () => {
  const ledger = ledgerWith([5, 6, 4000]);
  const push = new Push(ledger);
  ledger.faulted(0, 4999);
  assert.deepEqual(taken(push), [5, 6, 4000]);
  assert.equal(taken(push), null);
  ledger.blocks[0]!.owed.set(7);
  ledger.faulted(0, 2000);
  assert.deepEqual(taken(push), [7]);
});

test("batches are those of late rounds and count as on their way", () => {
  const all = Array.from({ length: 200 }, (_, page) => page);
  const ledger = ledgerWith(all);
  const push = new Push(ledger);
  for (const pages of [64, 64, 64, 8]) assert.equal(push.take(0)?.pages, pages);
  assert.equal(ledger.owedPages(), 0);
  assert.equal(ledger.backlogPages(), 200);
  assert.equal(ledger.sentPages, 200);
});

test("whatever is owed, hot and asked for meanwhile, every owed page is taken once, by push or by a fault", () => {
  const page = fc.record({
    block: fc.nat(1),
    page: fc.nat(PAGES - 1),
    count: fc.integer({ min: 1, max: 300 }),
  });
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant("push" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("fault" as const), at: page }) },
  );
  const runs = fc.array(page, { maxLength: 8 });
  fc.assert(
    fc.property(runs, runs, fc.array(step, { maxLength: 60 }), (owed, hot, steps) => {
      const ledger = Ledger.create([
        { name: "ram", pages: PAGES },
        { name: "more", pages: PAGES },
      ]);
      const left = new Set<string>();
      const seen = new Set<string>();
      for (const { block, page: first, count } of owed) {
        const end = Math.min(PAGES, first + count);
        ledger.blocks[block]!.owed.setRange(first, end);
        for (let page = first; page < end; page++) left.add(`${block} ${page}`);
      }
      for (const { block, page: first, count } of hot) {
        ledger.blocks[block]!.hot.setRange(first, Math.min(PAGES, first + count));
      }
      const push = new Push(ledger);
      const takes = (block: number, page: number) => {
        assert.ok(left.delete(`${block} ${page}`), `page ${page} was not owed, or taken before`);
        assert.ok(!seen.has(`${block} ${page}`));
        seen.add(`${block} ${page}`);
      };
      const takeBatch = (): boolean => {
        const batch = push.take(0);
        if (batch === null) return false;
        const pages = [...eachPage(batch.runs)];
        assert.ok(pages.length > 0 && pages.length <= LATE_BATCH_PAGES && pages.length === batch.pages);
        for (const page of pages) takes(batch.block, page);
        return true;
      };
      for (const step of steps) {
        if (step.do === "push") {
          const had = left.size;
          assert.equal(takeBatch(), had > 0);
        } else if (ledger.blocks[step.at.block]!.owed.clear(step.at.page)) {
          takes(step.at.block, step.at.page);
          ledger.faulted(step.at.block, step.at.page);
        }
      }
      while (takeBatch());
      assert.equal(left.size, 0);
      assert.equal(ledger.owedPages(), 0);
    }),
    { numRuns: 60 },
  );
});
