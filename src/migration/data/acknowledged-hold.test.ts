import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger } from "../ledger.ts";
import { Scheduler } from "../scheduler.ts";
import { AcknowledgedHold } from "./acknowledged-hold.ts";
import { GATE_OPEN, READ_BYTES } from "./feed-gate.ts";

const PAGES = 10_000;
const GATE = 512;

function listAll(ledger: Ledger, from = 0, to = PAGES): void {
  for (let page = from; page < to; page++) ledger.list(0, page);
}

test("the first pass and what was dirtied meanwhile are read at full speed, then the stream is left unread", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  const hold = new AcknowledgedHold();
  assert.equal(hold.allowedBytes(null, GATE), READ_BYTES);
  listAll(ledger);
  hold.didRead(ledger);
  assert.equal(hold.allowedBytes(ledger, GATE), READ_BYTES);
  listAll(ledger, 0, 3000);
  hold.didRead(ledger);
  assert.equal(hold.allowedBytes(ledger, GATE), READ_BYTES);
  listAll(ledger, 0, 10);
  hold.didRead(ledger);
  assert.equal(hold.allowedBytes(ledger, GATE), 0);
});

test("an idle guest is held, too, though nothing is ever listed again", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  const hold = new AcknowledgedHold();
  listAll(ledger);
  let readings = 0;
  for (; hold.allowedBytes(ledger, GATE) > 0; readings++) hold.didRead(ledger);
  assert.ok(readings < 40, `${readings}`);
});

test("when only written pages wait QEMU looks once more, then reading follows the backlog", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  const hold = new AcknowledgedHold();
  listAll(ledger);
  listAll(ledger, 0, 3000);
  listAll(ledger, 0, 10);
  const scheduler = new Scheduler(ledger, 1, "cold-first");
  while (hold.allowedBytes(ledger, GATE) === 0) ledger.arrived(scheduler.take(0)!.pages);
  assert.ok(ledger.owedColdPages(GATE) <= GATE);
  assert.equal(ledger.owedPages() - ledger.owedColdPages(GATE), 3000, "written pages wait");
  listAll(ledger, 0, 3000);
  hold.didRead(ledger);
  assert.equal(hold.allowedBytes(ledger, GATE), READ_BYTES);
  listAll(ledger, 0, 1);
  hold.didRead(ledger);
  assert.equal(hold.allowedBytes(ledger, GATE), 0);
  while (ledger.owedPages() > 0) scheduler.take(0);
  assert.ok(hold.allowedBytes(ledger, GATE) > 0);
});

test("an open gate holds nothing", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  for (let pass = 0; pass < 5; pass++) listAll(ledger);
  assert.equal(new AcknowledgedHold().allowedBytes(ledger, GATE_OPEN), READ_BYTES);
});

test("a stream that brings next to nothing may rest, but only once rounds are read", () => {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  const hold = new AcknowledgedHold();
  listAll(ledger);
  hold.didRead(ledger);
  hold.didRead(ledger);
  assert.equal(hold.mayRest, false, "the first passes are read at full speed");
  while (hold.allowedBytes(ledger, GATE) > 0) hold.didRead(ledger);
  const scheduler = new Scheduler(ledger, 1, "cold-first");
  while (ledger.owedPages() > 0) ledger.arrived(scheduler.take(0)!.pages);
  while (!hold.mayRest) {
    assert.ok(hold.allowedBytes(ledger, GATE) > 0);
    hold.didRead(ledger);
  }
  listAll(ledger, 0, 100);
  hold.didRead(ledger);
  assert.equal(hold.mayRest, true, "a few pages that are written all the time change nothing");
  listAll(ledger, 0, 200);
  hold.didRead(ledger);
  assert.equal(hold.mayRest, false);
});
