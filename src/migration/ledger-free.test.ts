import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { runsOf } from "../pages/index.ts";
import { Ledger } from "./ledger.ts";
import { Scheduler } from "./scheduler.ts";

const PAGES = 200;

/** Mostly a few pages, so that the same ones are written, freed and dropped again and again. */
const somePage = fc.oneof({ weight: 3, arbitrary: fc.nat(12) }, { weight: 1, arbitrary: fc.nat(PAGES - 1) });

/** What the guest, QEMU and the migration do, in any order. */
const action = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("write" as const), page: somePage }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("free" as const), page: somePage }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("name" as const), page: somePage }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("begin" as const), page: somePage }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("look" as const), page: somePage }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("drop" as const), page: somePage }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("send" as const), page: somePage }) },
);

/** A guest whose memory counts generations; a page that is free has a content that nobody will ever ask for. */
class Model {
  readonly ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  readonly scheduler = new Scheduler(this.ledger, 1, "ascending");
  readonly source = Array.from({ length: PAGES }, (_, page) => page + 1);
  readonly destination = new Array<number>(PAGES).fill(0);
  readonly isFree = new Array<boolean>(PAGES).fill(false);
  /** Written and not named since: QEMU's dirty log. */
  readonly dirty = new Array<boolean>(PAGES).fill(true);
  generation = PAGES;
  /** What the guest said after the last look began. */
  list: number[] | null = null;
  begun = false;

  constructor() {
    // Few at a time: what was sent once can't be dropped any more.
    this.scheduler.setBatchPages(1);
  }

  write(page: number): void {
    this.source[page] = ++this.generation;
    this.isFree[page] = false;
    this.dirty[page] = true;
  }

  name(page: number): void {
    if (!this.dirty[page]) return;
    this.dirty[page] = false;
    this.ledger.list(0, page);
  }

  begin(): void {
    this.ledger.beginScan();
    this.begun = true;
    this.list = null;
  }

  look(): void {
    if (this.begun) this.list = this.isFree.flatMap((free, page) => (free ? [page] : []));
  }

  drop(): void {
    if (this.list !== null) this.ledger.dropFree(0, runsOf(this.list));
    this.list = null;
  }

  send(): boolean {
    const batch = this.scheduler.take(0);
    if (batch === null) return false;
    for (let run = 0; run < batch.runs.length; run += 2) {
      const first = batch.runs[run]!;
      for (let page = first; page < first + batch.runs[run + 1]!; page++) {
        this.destination[page] = this.source[page]!;
      }
    }
    this.ledger.arrived(batch.pages);
    return true;
  }

  /** Pages in use that the destination has not as they are. */
  wrong(): number[] {
    return this.source.flatMap((content, page) =>
      this.isFree[page] || content === this.destination[page] ? [] : [page],
    );
  }
}

function play(model: Model, act: { do: string; page: number }): void {
  if (act.do === "write") model.write(act.page);
  else if (act.do === "free") model.isFree[act.page] = true;
  else if (act.do === "name") model.name(act.page);
  else if (act.do === "begin") model.begin();
  else if (act.do === "look") model.look();
  else if (act.do === "drop") model.drop();
  else model.send();
}

test("whatever a guest writes, frees and takes again, what it uses arrives", () => {
  let dropped = 0;
  fc.assert(
    fc.property(fc.array(action, { maxLength: 300, size: "max" }), (actions) => {
      const model = new Model();
      for (const act of actions) play(model, act);
      dropped += model.ledger.freePages();
      for (let page = 0; page < PAGES; page++) model.name(page);
      while (model.send());
      assert.equal(model.ledger.owedPages(), 0);
      assert.deepEqual(model.wrong(), []);
    }),
    { numRuns: 300 },
  );
  assert.ok(dropped > 100, "hardly anything was dropped: the test means nothing");
});

test("a list that was taken before the look began loses what was written in between", () => {
  const model = new Model();
  model.isFree[7] = true;
  const early = [7];
  model.write(7);
  model.name(7);
  model.begin();
  model.ledger.dropFree(0, runsOf(early));
  while (model.send());
  assert.deepEqual(
    model.wrong().filter((page) => !model.dirty[page]),
    [7],
  );
});

test("a page that QEMU names while the guest looks stays owed", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  for (let page = 0; page < 100; page++) ledger.list(0, page);
  ledger.beginScan();
  ledger.list(0, 40);
  ledger.list(0, 150);
  assert.equal(ledger.dropFree(0, Uint32Array.of(0, PAGES)), 99);
  assert.deepEqual([ledger.blocks[0]!.owed.has(40), ledger.blocks[0]!.owed.has(150)], [true, true]);
  assert.deepEqual([ledger.owedPages(), ledger.freePages(), ledger.zeroPages()], [2, 99, 99]);
});

test("a page that was sent is never dropped, however often it is named", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  ledger.list(0, 3);
  new Scheduler(ledger, 1, "ascending").take(0);
  ledger.list(0, 3);
  ledger.list(0, 4);
  ledger.beginScan();
  assert.equal(ledger.dropFree(0, Uint32Array.of(3, 2)), 1);
  assert.deepEqual([ledger.blocks[0]!.owed.has(3), ledger.blocks[0]!.zero.has(4)], [true, true]);
});

test("a dropped page that is used again is owed, and no longer free once it is sent", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  ledger.list(0, 3);
  ledger.beginScan();
  ledger.dropFree(0, Uint32Array.of(3, 1));
  ledger.list(0, 3);
  assert.deepEqual([ledger.owedPages(), ledger.zeroPages()], [1, 0]);
  new Scheduler(ledger, 1, "ascending").take(0);
  assert.equal(ledger.freePages(), 0);
});

test("each look begins anew: what was named before it may be dropped", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  ledger.beginScan();
  for (const page of [0, 31, 32, 64, PAGES - 1]) ledger.list(0, page);
  assert.equal(ledger.dropFree(0, Uint32Array.of(0, PAGES)), 0);
  ledger.beginScan();
  assert.equal(ledger.dropFree(0, Uint32Array.of(0, PAGES)), 5);
});

test("pages that another thread lists while they are dropped are never lost", async () => {
  const ledger = Ledger.create([{ name: "ram", pages: 64 }]);
  for (let page = 0; page < 64; page++) ledger.list(0, page);
  const turn = new Int32Array(new SharedArrayBuffer(8));
  const lister = new Worker(
    `const { workerData } = require("node:worker_threads");
     import(workerData.path).then(({ Ledger }) => {
       const ledger = Ledger.attach(workerData.shared);
       const turn = new Int32Array(workerData.turn);
       for (let round = 1; round <= 3000; round++) {
         while (Atomics.load(turn, 0) !== round) Atomics.wait(turn, 0, round - 1);
         ledger.list(0, round % 64);
         Atomics.store(turn, 1, round);
       }
     });`,
    {
      eval: true,
      workerData: {
        path: new URL("./ledger.ts", import.meta.url).href,
        shared: ledger.share(),
        turn: turn.buffer,
      },
    },
  );
  try {
    for (let round = 1; round <= 3000; round++) {
      ledger.beginScan();
      Atomics.store(turn, 0, round);
      Atomics.notify(turn, 0);
      if (round === 1)
        while (Atomics.load(turn, 1) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      ledger.dropFree(0, Uint32Array.of(0, 64));
      while (Atomics.load(turn, 1) !== round);
      assert.ok(ledger.blocks[0]!.owed.has(round % 64), `round ${round}`);
      assert.ok(!ledger.blocks[0]!.zero.has(round % 64), `round ${round}`);
    }
  } finally {
    await lister.terminate();
  }
});
