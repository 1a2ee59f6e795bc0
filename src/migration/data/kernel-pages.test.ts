import assert from "node:assert/strict";
import { test } from "node:test";
import { GuestHelper, guestPageCount } from "../../hints/index.ts";
import { afterHello, answerTo, FakeHelper, helloPayload } from "../../hints/testing/fake-helper.ts";
import { PageBitmap } from "../../pages/index.ts";
import { Ledger } from "../ledger.ts";
import { KernelPagesLook, oweZeroPages } from "./kernel-pages.ts";

const pieces = [
  { firstGuestPage: 0, pages: 100, block: "ram", firstBlockPage: 0 },
  { firstGuestPage: 200, pages: 100, block: "ram", firstBlockPage: 100 },
  { firstGuestPage: 300, pages: 50, block: "high", firstBlockPage: 0 },
];

/** An answer with these runs. */
function list(...runs: number[]): Buffer {
  const payload = Buffer.alloc(16 + 4 * runs.length);
  payload.writeUInt32LE(runs.length / 2, 4);
  for (const [index, value] of runs.entries()) payload.writeUInt32LE(value, 16 + 4 * index);
  return payload;
}

function pagesOf(set: PageBitmap): number[] {
  return Array.from({ length: set.pageCount }, (_, page) => page).filter((page) => set.has(page));
}

test("a guest is asked for its page tables, then for all of its kernel's pages, where RAM blocks have them", async () => {
  const asked: string[] = [];
  let look: KernelPagesLook | undefined;
  await using fake = await FakeHelper.listen(
    afterHello((seen) => {
      asked.push(seen.payload.toString("hex"));
      assert.equal(look!.isComplete, false, "of page tables alone nobody may conclude on the others");
      return answerTo(seen, asked.length === 1 ? list(5, 1) : list(5, 2, 98, 4, 199, 2, 299, 2));
    }),
  );
  using helper = await GuestHelper.connect(fake.path, guestPageCount(pieces));
  look = new KernelPagesLook(Promise.resolve(helper), pieces);
  assert.equal(look.pages, null);
  await look.done;
  assert.ok(look.isComplete);
  assert.deepEqual(asked, ["00000200000000005e01000001000000", "00000200000000005e01000000000000"]);
  const [ram, high] = look.pages!;
  assert.deepEqual([ram!.name, high!.name], ["ram", "high"]);
  // Guest pages 100 to 199 are a hole: what the kernel says of them is passed over.
  assert.deepEqual([pagesOf(ram!.tables), pagesOf(ram!.all)], [[5], [5, 6, 98, 99, 100, 199]]);
  assert.deepEqual([pagesOf(high!.tables), pagesOf(high!.all)], [[], [0]]);
});

test("a helper that can't tell is not asked", async () => {
  let asked = 0;
  await using fake = await FakeHelper.listen((seen) => {
    if (seen.type === 1)
      return answerTo(
        seen,
        helloPayload((payload) => payload.writeUInt32LE(15, 4)),
      );
    asked += 1;
    return null;
  });
  using helper = await GuestHelper.connect(fake.path, guestPageCount(pieces));
  const look = new KernelPagesLook(Promise.resolve(helper), pieces);
  await look.done;
  assert.deepEqual([asked, look.pages, look.isComplete], [0, null, true]);
});

test("of the kernel's pages the zero ones are owed, free ones and those of unreadable blocks are not", () => {
  const ledger = Ledger.create([
    { name: "ram", pages: 20_000 },
    { name: "high", pages: 40 },
  ]);
  const [ram, high] = ledger.blocks;
  for (const { zero, pages } of ledger.blocks) zero.setRange(0, pages);
  ram!.zero.clear(6);
  ram!.free.set(8);
  const kernel = ["ram", "high"].map((name) => {
    const all = new PageBitmap(20_000);
    for (let page = 0; page < 20_000; page += 2) all.set(page);
    return { name, tables: new PageBitmap(20_000), all };
  });
  const owed = oweZeroPages(ledger, kernel, (block) => block === 0);
  assert.equal(owed, 10_000 - 2);
  assert.equal(ram!.owed.count(), owed);
  assert.ok(
    ram!.owed.has(4) && !ram!.owed.has(5) && !ram!.owed.has(6) && !ram!.owed.has(8) && ram!.zero.has(8),
  );
  assert.equal(ram!.zero.countRange(0, 20_000), 20_000 - 1 - owed);
  assert.equal(high!.owed.count(), 0);
});
