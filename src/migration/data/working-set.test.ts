import assert from "node:assert/strict";
import { test } from "node:test";
import { GuestHelper } from "../../hints/index.ts";
import { afterHello, answerTo, FakeHelper, listPayload } from "../../hints/testing/fake-helper.ts";
import { PageBitmap } from "../../pages/index.ts";
import { Ledger } from "../ledger.ts";
import { resumeSetOf } from "./resume-set.ts";
import { type WorkingSetBlock, WorkingSetLooks } from "./working-set.ts";
import { lackingOf, worthOf } from "./working-set-worth.ts";

const pieces = [
  { firstGuestPage: 0, pages: 1000, block: "ram", firstBlockPage: 0 },
  { firstGuestPage: 2000, pages: 1000, block: "high", firstBlockPage: 0 },
];
const never = new Promise<GuestHelper>(() => {});

function look(...runs: number[]) {
  const figures = { truncated: false, processes: 1, scans: 1, mappedPages: 9, hugePages: 0, scanMs: 2 };
  return { ...figures, runs: Uint32Array.from(runs) };
}

function pagesOf(set: PageBitmap): number[] {
  return Array.from({ length: set.pageCount }, (_, page) => page).filter((page) => set.has(page));
}

test("the set is what any look found; steady is what the last two found", () => {
  const looks = new WorkingSetLooks(never, pieces);
  assert.deepEqual([looks.set, looks.figures], [null, null]);
  looks.take(look(0, 4, 2000, 1));
  looks.take(look(2, 4));
  looks.take(look(3, 1, 5, 1, 2500, 2));
  const [ram, high] = looks.set!;
  assert.deepEqual(
    [pagesOf(ram!.touched), pagesOf(ram!.steady)],
    [
      [0, 1, 2, 3, 4, 5],
      [3, 5],
    ],
  );
  assert.deepEqual([pagesOf(high!.touched), pagesOf(high!.steady)], [[0, 500, 501], []]);
  assert.deepEqual(looks.figures, { pages: 9, steadyPages: 2, looks: 3, settledAfterLooks: null, scanMs: 6 });
});

test("the set is known when two looks in a row hardly add to it", () => {
  const looks = new WorkingSetLooks(never, pieces);
  for (const pages of [100, 200, 205, 300, 310]) looks.take(look(0, pages));
  assert.equal(looks.figures!.settledAfterLooks, null);
  looks.take(look(0, 311));
  looks.take(look(0, 900));
  assert.equal(looks.figures!.settledAfterLooks, 6);
});

test("a guest is asked to forget what was before, and then again and again until the end", async () => {
  const asked: string[] = [];
  let enough = () => {};
  const third = new Promise<void>((resolve) => {
    enough = resolve;
  });
  await using fake = await FakeHelper.listen(
    afterHello((seen) => {
      asked.push(seen.payload.toString("hex"));
      if (asked.length === 3) enough();
      return answerTo(seen, listPayload(asked.length === 1 ? [] : [7, 3], 12));
    }),
  );
  using helper = await GuestHelper.connect(fake.path, 3000);
  const looks = new WorkingSetLooks(Promise.resolve(helper), pieces);
  await third;
  looks.end();
  assert.match(asked[0]!, /^00000000000000000000020001000000$/);
  assert.match(asked[1]!, /^01000000000000000000020000000000$/);
  assert.deepEqual(pagesOf(looks.set![0]!.touched), [7, 8, 9]);
});

/** A ledger with two RAM blocks of which all is owed, and a working set in the first. */
function scene(touched: readonly number[], steady: readonly number[]) {
  const ledger = Ledger.create([
    { name: "ram", pages: 3000 },
    { name: "vga", pages: 10 },
  ]);
  for (const { owed, pages } of ledger.blocks) owed.setRange(0, pages);
  const block: WorkingSetBlock = { name: "ram", touched: new PageBitmap(4000), steady: new PageBitmap(4000) };
  for (const page of touched) block.touched.set(page);
  for (const page of steady) block.steady.set(page);
  return { ledger, set: [block] };
}

const all = () => true;
const three = ["learned", "written", "working-set"] as const;
const nothing = { learned: new Uint32Array(), kernel: null };

test("the working set is part of the resume set, what is always touched first, within its bound", () => {
  const many = Array.from({ length: 2000 }, (_, index) => index);
  const { ledger, set } = scene(many, [1500, 1501]);
  const { bitmaps, pages } = resumeSetOf(ledger, { ...nothing, workingSet: set }, all, three);
  assert.equal(pages, 1024);
  assert.ok(bitmaps[0]!.has(1500) && bitmaps[0]!.has(1501) && bitmaps[0]!.has(0));
  assert.ok(!bitmaps[0]!.has(1499));
});

test("learned pages and those written often come before the working set, and none counts twice", () => {
  const { ledger, set } = scene([5, 6, 7, 3500], [5]);
  ledger.blocks[0]!.frequent.set(6);
  ledger.blocks[0]!.owed.clear(7);
  const { bitmaps, pages } = resumeSetOf(
    ledger,
    { ...nothing, learned: Uint32Array.of(0, 5, 1, 3), workingSet: set },
    all,
    three,
  );
  assert.equal(pages, 3);
  assert.deepEqual(bitmaps.map(pagesOf), [[5, 6], [3]]);
});

test("precision and recall are of what was asked for once the guest ran", () => {
  const { ledger, set } = scene([1, 2, 3, 4], []);
  ledger.blocks[0]!.owed.clear(4);
  ledger.blocks[0]!.owed.clear(1);
  const lacking = lackingOf(ledger, set);
  assert.deepEqual(pagesOf(lacking[0]!), [2, 3]);
  assert.deepEqual(worthOf(ledger, set, lacking), { precision: 0, recall: null });
  for (const page of [2, 100, 101, 102]) ledger.blocks[0]!.requested.set(page);
  assert.deepEqual(worthOf(ledger, set, lacking), { precision: 0.5, recall: 0.25 });
});
