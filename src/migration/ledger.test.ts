import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eachPage, PageBitmap } from "../pages/index.ts";
import { Ledger } from "./ledger.ts";
import { BATCH_PAGES, connectionOf, type PageOrder, Scheduler } from "./scheduler.ts";

const PAGES = 3000;

/** Mostly a few pages, so that the same ones are dirtied, sent and zeroed again and again. */
const somePage = fc.oneof({ weight: 4, arbitrary: fc.nat(20) }, { weight: 1, arbitrary: fc.nat(PAGES - 1) });

/** What QEMU, the scheduler and the destination may do, in any order. */
const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("list" as const), page: somePage }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("zero" as const), page: somePage }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("take" as const), connection: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("deliver" as const), connection: fc.nat(2) }) },
);

/**
 * A plain model of the guest: memory at the source counts generations (0 is zero), the destination holds what
 * was delivered in the order of its connection.
 */
class Model {
  readonly source = new Array<number>(PAGES).fill(0);
  readonly destination = new Array<number>(PAGES).fill(0);
  readonly wires: { page: number; content: number }[][] = [[], [], []];
  generation = 0;
}

for (const order of ["ascending", "cold-first"] satisfies PageOrder[]) {
  test(`whatever the order of events, an empty backlog means an equal memory (${order})`, () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 400, size: "max" }), (actions) => {
        const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
        const scheduler = new Scheduler(ledger, 3, order);
        const model = new Model();
        const take = (connection: number): boolean => {
          const batch = scheduler.take(connection);
          if (batch === null) return false;
          assert.ok(batch.pages > 0 && batch.pages <= BATCH_PAGES);
          for (let run = 0; run < batch.runs.length; run += 2) {
            const first: number = batch.runs[run]!;
            for (let page: number = first; page < first + batch.runs[run + 1]!; page++) {
              assert.equal(connectionOf(page, 3), connection);
              model.wires[connection]!.push({ page, content: model.source[page]! });
            }
          }
          return true;
        };
        const deliver = (connection: number): void => {
          const wire = model.wires[connection]!;
          for (const { page, content } of wire) model.destination[page] = content;
          ledger.arrived(wire.length);
          wire.length = 0;
        };
        for (const act of actions) {
          if (act.do === "list") {
            model.source[act.page] = ++model.generation;
            ledger.list(0, act.page);
          } else if (act.do === "zero") {
            model.source[act.page] = 0;
            ledger.listZero(0, act.page);
          } else if (act.do === "take") take(act.connection);
          else deliver(act.connection);

          const stale = model.source.filter((content, page) => content !== model.destination[page]).length;
          assert.ok(stale <= ledger.backlogPages(), "a stale page is neither owed nor on its way");
        }
        for (let connection = 0; connection < 3; connection++) {
          while (take(connection)) deliver(connection);
          deliver(connection);
        }
        assert.equal(ledger.backlogPages(), 0);
        assert.deepEqual(model.destination, model.source);
      }),
      { numRuns: 60 },
    );
  });
}

test("cold pages go before pages that were dirtied again", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  const scheduler = new Scheduler(ledger, 1, "cold-first");
  for (let page = 0; page < 600; page++) ledger.list(0, page);
  for (let page = 0; page < 100; page++) ledger.list(0, page);
  const first: number[] = [];
  for (let batch = scheduler.take(0); batch !== null; batch = scheduler.take(0)) first.push(batch.runs[0]!);
  assert.equal(first.at(-1), 0);
  assert.ok(first.slice(0, -1).every((page) => page >= 100));
});

test("a page that was never sent and is zero is settled without sending", () => {
  const ledger = Ledger.create([{ name: "ram", pages: 10 }]);
  ledger.list(0, 3);
  ledger.listZero(0, 3);
  ledger.listZero(0, 4);
  assert.equal(ledger.backlogPages(), 0);
  assert.equal(ledger.zeroPages(), 2);
});

test("a page that was sent and became zero is owed again", () => {
  const ledger = Ledger.create([{ name: "ram", pages: 10 }]);
  ledger.list(0, 3);
  assert.equal(new Scheduler(ledger, 1, "ascending").take(0)?.pages, 1);
  ledger.listZero(0, 3);
  assert.equal(ledger.owedPages(), 1);
});

test("another thread's view of the ledger is the same ledger", () => {
  const ledger = Ledger.create([
    { name: "ram", pages: 10 },
    { name: "vga", pages: 5 },
  ]);
  const other = Ledger.attach(ledger.share());
  other.list(1, 4);
  assert.equal(ledger.backlogPages(), 1);
  assert.equal(ledger.passes, 1);
  assert.equal(other.blocks[1]?.name, "vga");
});

test("passes count how often QEMU began again from the start", () => {
  const ledger = Ledger.create([
    { name: "ram", pages: 10 },
    { name: "vga", pages: 5 },
  ]);
  for (const [block, page] of [
    [0, 0],
    [0, 9],
    [1, 0],
    [1, 3],
    [0, 2],
    [0, 3],
    [0, 1],
  ] as const) {
    ledger.list(block, page);
  }
  assert.equal(ledger.passes, 3);
});

test("every page is dealt once and batches gather scattered pages", () => {
  const ledger = Ledger.create([{ name: "ram", pages: 200_000 }]);
  const scheduler = new Scheduler(ledger, 2, "cold-first");
  for (let page = 0; page < 200_000; page += 97) ledger.list(0, page);
  const owed = ledger.owedPages();
  let dealt = 0;
  let batches = 0;
  for (const connection of [0, 1]) {
    for (let batch = scheduler.take(connection); batch !== null; batch = scheduler.take(connection)) {
      dealt += batch.pages;
      batches += 1;
    }
  }
  assert.equal(dealt, owed);
  assert.ok(batches <= owed / BATCH_PAGES + 4, `${batches} batches for ${owed} pages`);
});

test("pages that are deferred wait until they no longer are, hot or cold, and the others go on", () => {
  for (const order of ["ascending", "cold-first"] satisfies PageOrder[]) {
    const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
    const scheduler = new Scheduler(ledger, 1, order);
    for (let page = 0; page < 100; page++) ledger.list(0, page);
    for (let page = 0; page < 20; page++) ledger.list(0, page);
    const waiting = new PageBitmap(PAGES);
    waiting.setRange(10, 50);
    scheduler.defer([waiting]);
    const taken: number[] = [];
    for (let batch = scheduler.take(0); batch !== null; batch = scheduler.take(0)) {
      taken.push(...eachPage(batch.runs));
    }
    assert.deepEqual(
      taken.sort((one, other) => one - other),
      Array.from({ length: 100 }, (_, page) => page).filter((page) => page < 10 || page >= 50),
    );
    scheduler.defer(null);
    assert.equal(scheduler.take(0)?.pages, order === "ascending" ? 40 : 30);
  }
});

test("few pages that nobody wrote to are counted, of many it is known that they are many", () => {
  const ledger = Ledger.create([{ name: "ram", pages: 1000 }]);
  for (let page = 0; page < 1000; page++) ledger.list(0, page);
  for (let page = 0; page < 900; page++) ledger.list(0, page);
  assert.equal(ledger.owedColdPages(10), 100);
  const { owed } = ledger.blocks[0]!;
  owed.clearRange(0, 880);
  assert.equal(ledger.owedColdPages(200), 100, "written ones that have left are not taken off");
  owed.clearRange(900, 960);
  assert.equal(ledger.owedColdPages(10), 40);
  owed.setRange(0, 880);
  assert.ok(ledger.owedColdPages(10) > 10);
});

test("what QEMU names for the first time was not written to just before the stop, what it names again was", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  const { recent, frequent } = ledger.blocks[0]!;
  ledger.list(0, 1);
  ledger.list(0, 1);
  ledger.watchRecent();
  for (const page of [1, 2, 3]) ledger.list(0, page);
  for (const page of [1, 2]) ledger.list(0, page);
  const pages = [1, 2, 3];
  assert.deepEqual(
    pages.map((page) => recent.has(page)),
    [true, true, false],
  );
  assert.deepEqual(
    pages.map((page) => frequent.has(page)),
    [true, false, false],
  );
});
