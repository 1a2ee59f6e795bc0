import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { Ledger } from "../ledger.ts";
import { Scheduler } from "../scheduler.ts";
import { allowedBytes, FeedGate, GATE_OPEN, READ_BYTES } from "./feed-gate.ts";

const PAGES = 262_144;

function ledgerWithListed(pages: number): Ledger {
  const ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  for (let page = 0; page < pages; page++) ledger.list(0, page);
  return ledger;
}

test("before the first record and with the gate open QEMU is read at full speed", () => {
  assert.equal(allowedBytes(null, 1024), READ_BYTES);
  assert.equal(allowedBytes(ledgerWithListed(PAGES), GATE_OPEN), READ_BYTES);
});

test("the first pass is read at full speed, whatever the backlog", () => {
  assert.equal(allowedBytes(ledgerWithListed(100_000), 1024), READ_BYTES);
});

test("the first pass is held before a tail of zero pages that would fit into the socket's buffer", () => {
  for (let listed = 100_000; listed < PAGES; listed += 1000) {
    const allowed = allowedBytes(ledgerWithListed(listed), 1024);
    const leftAtLeast = (PAGES - listed) * 9 - allowed;
    assert.ok(allowed === 0 || leftAtLeast >= 320 * 1024, `at ${listed} pages ${allowed} bytes are allowed`);
  }
});

test("the first pass is read on nearer to its end on demand, and the feed is not held meanwhile", () => {
  const gate = new FeedGate();
  gate.setGatePages(1024);
  const listed = ledgerWithListed(PAGES - 30_000);
  assert.equal(allowedBytes(listed, 1024), 0);
  gate.readCloser();
  assert.equal(gate.isHeld, false);
  assert.ok(gate.waitForAllowance(listed) > 0);
  assert.ok(gate.waitForAllowance(ledgerWithListed(PAGES - 5_200)) > 0);
});

test("after the first pass reading follows the backlog under the gate", () => {
  const ledger = ledgerWithListed(PAGES);
  const scheduler = new Scheduler(ledger, 1, "ascending");
  assert.equal(allowedBytes(ledger, 1024), 0);
  while (ledger.backlogPages() > 512) ledger.arrived(scheduler.take(0)!.pages);
  const allowed = allowedBytes(ledger, 1024);
  assert.ok(allowed > 0 && allowed <= (1024 - ledger.backlogPages()) * 4104);
});

test("a feed thread that waits at the gate goes on when pages leave", async () => {
  const ledger = ledgerWithListed(PAGES);
  const gate = new FeedGate();
  gate.setGatePages(1024);
  const worker = new Worker(
    `const { workerData, parentPort } = require("node:worker_threads");
     (async () => {
       const { FeedGate } = await import(workerData.gateModule);
       const { Ledger } = await import(workerData.ledgerModule);
       parentPort.postMessage("waiting");
       const bytes = new FeedGate(workerData.gate).waitForAllowance(Ledger.attach(workerData.ledger));
       parentPort.postMessage(bytes);
     })();`,
    {
      eval: true,
      workerData: {
        gate: gate.buffer,
        ledger: ledger.share(),
        gateModule: new URL("./feed-gate.ts", import.meta.url).href,
        ledgerModule: new URL("../ledger.ts", import.meta.url).href,
      },
    },
  );
  const messages: unknown[] = [];
  const next = () => new Promise((resolve) => worker.once("message", resolve));
  messages.push(await next());
  const answer = next();
  const scheduler = new Scheduler(ledger, 1, "ascending");
  while (ledger.backlogPages() > 512) ledger.arrived(scheduler.take(0)!.pages);
  gate.drained();
  messages.push(await answer);
  assert.equal(messages[0], "waiting");
  assert.ok((messages[1] as number) > 0);
  await worker.terminate();
});

test("the gate tells whether the feed waits for pages to leave", async () => {
  const gate = new FeedGate();
  assert.equal(gate.isHeld, false);
  const feed = new Worker(
    `const { workerData } = require("node:worker_threads");
     import(workerData.path).then(({ FeedGate }) => {
       const gate = new FeedGate(workerData.gate);
       gate.waitForAllowance(null, (_, gatePages) => (gatePages > 0 ? 1 : 0));
     });`,
    {
      eval: true,
      workerData: { path: new URL("./feed-gate.ts", import.meta.url).href, gate: gate.buffer },
    },
  );
  const ended = new Promise((resolve) => feed.once("exit", resolve));
  while (!gate.isHeld) await new Promise((resolve) => setTimeout(resolve, 1));
  gate.setGatePages(1);
  await ended;
  assert.equal(gate.isHeld, false);
});

test("a feed rests until its time is over, and never again once it was woken", () => {
  const gate = new FeedGate();
  assert.equal(gate.rest(1), true);
  gate.wake();
  assert.equal(gate.rest(60_000), false);
});
