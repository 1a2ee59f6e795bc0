import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eachPage } from "../pages/index.ts";
import { MAXIMUM_FRAME_BYTES } from "../wire/bulk/format.ts";
import { Bubble } from "./data/bubble.ts";
import { FaultServer } from "./data/fault-server.ts";
import { Ledger } from "./ledger.ts";
import { Push } from "./push.ts";

const HOST_PAGES = 512;
const HOSTS = 6;

/** A RAM block of host pages: of these some are owed, some zero, the others there. */
function ledgerOf(owed: readonly number[], zero: readonly number[] = []): Ledger {
  const ledger = Ledger.create([
    { name: "small", pages: 40 },
    { name: "ram", pages: HOSTS * HOST_PAGES, hostPages: HOST_PAGES },
  ]);
  for (const host of owed) ledger.blocks[1]!.owed.setRange(host * HOST_PAGES, (host + 1) * HOST_PAGES);
  for (const host of zero) ledger.blocks[1]!.zero.setRange(host * HOST_PAGES, (host + 1) * HOST_PAGES);
  return ledger;
}

/** A fault server whose answers are told. */
function serverOf(ledger: Ledger, sent: (block: number, runs: number[]) => void): FaultServer {
  const frame = Buffer.alloc(MAXIMUM_FRAME_BYTES);
  const connection = {
    ready: async () => frame,
    send: (block: number, runs: Uint32Array) => sent(block, [...runs]),
  };
  return new FaultServer(ledger, new Bubble(64), connection, (_block, _first, count) => count * 4096);
}

test("push takes a host page in two batches that one connection gets one after the other", () => {
  const ledger = ledgerOf([1, 3]);
  ledger.blocks[1]!.hot.set(3 * HOST_PAGES + 400);
  const push = new Push(ledger);
  const take = (connection: number) => [...(push.take(connection)?.runs ?? [])];
  assert.deepEqual(take(0), [3 * HOST_PAGES, 256]);
  assert.equal(push.isAmidHostPage, true);
  assert.deepEqual(take(1), [HOST_PAGES, 256]);
  assert.equal(ledger.owedPages(), 0);
  assert.deepEqual(take(1), [HOST_PAGES + 256, 256]);
  assert.deepEqual(take(0), [3 * HOST_PAGES + 256, 256]);
  assert.equal(push.isAmidHostPage, false);
  assert.deepEqual([take(0), take(1)], [[], []]);
});

test("a fault is answered with its whole host page, in frames that follow each other, and counts once", async () => {
  const ledger = ledgerOf([2], [4]);
  const sent: number[][] = [];
  const server = serverOf(ledger, (_, runs) => sent.push(runs));
  for (const host of [2, 4, 0, 2]) server.request(1, host * HOST_PAGES, HOST_PAGES);
  await server.work();
  assert.deepEqual(sent, [
    [2 * HOST_PAGES, 256],
    [2 * HOST_PAGES + 256, 256],
    [4 * HOST_PAGES, 256],
    [4 * HOST_PAGES + 256, 256],
  ]);
  assert.equal(ledger.faults, 2);
  assert.equal(server.bubblePages, 0);
  assert.deepEqual(server.learned.slice(0, 2), [1, 2 * HOST_PAGES]);
});

test("a host page of which something was sent is there, zero or not", async () => {
  const ledger = ledgerOf([], [5]);
  ledger.blocks[1]!.zero.clear(5 * HOST_PAGES + 9);
  ledger.blocks[1]!.sent.set(5 * HOST_PAGES + 9);
  const server = serverOf(ledger, () => assert.fail("it must not be placed again"));
  server.request(1, 5 * HOST_PAGES, HOST_PAGES);
  await server.work();
});

test("whatever is owed and asked for, each host page leaves once and whole", async () => {
  const host = fc.nat(HOSTS - 1);
  const step = fc.oneof(fc.record({ fault: host }), fc.record({ push: fc.nat(1) }));
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(host), fc.array(step, { maxLength: 30 }), async (owed, steps) => {
      const ledger = ledgerOf(owed);
      ledger.blocks[0]!.owed.setRange(3, 30);
      const push = new Push(ledger);
      const seen = new Map<number, number>();
      const count = (block: number, runs: readonly number[]) => {
        for (const page of eachPage(Uint32Array.from(runs))) {
          const key = block === 0 ? -page : page;
          seen.set(key, (seen.get(key) ?? 0) + 1);
        }
      };
      const server = serverOf(ledger, count);
      const take = (connection: number) => {
        const batch = push.take(connection);
        if (batch !== null) count(batch.block, [...batch.runs]);
        return batch !== null;
      };
      for (const each of steps) {
        if ("push" in each) take(each.push);
        else {
          server.request(1, each.fault * HOST_PAGES, HOST_PAGES);
          await server.work();
        }
      }
      while (take(0) || take(1));
      assert.equal(seen.size, owed.length * HOST_PAGES + 27);
      assert.ok([...seen.values()].every((times) => times === 1));
      assert.equal(ledger.owedPages() + Number(push.isAmidHostPage), 0);
    }),
    { numRuns: 40 },
  );
});
