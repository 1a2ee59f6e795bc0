import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { before, test } from "node:test";
import { Worker } from "node:worker_threads";
import type { GodwitError } from "../../base/errors.ts";
import type { Credentials } from "../credentials.ts";
import { testAuthority } from "../test-credentials.ts";
import { connectSecurely } from "../tls/connect.ts";
import type { BatchHandler } from "./decoder.ts";
import { type BulkReceiver, dialBulk } from "./dial.ts";
import { BatchEncoder } from "./encoder.ts";
import { type BulkTotals, MAXIMUM_BATCH_PAGES, PAGE_BYTES } from "./format.ts";
import { BulkListener } from "./listener.ts";
import { Pacer } from "./pacer.ts";
import type { BulkSender } from "./sender.ts";
import { fillPage, fillRuns } from "./test-pages.ts";
import type { TestSenderInput } from "./test-sender-thread.ts";

const BLOCK_PAGES = 100_000;
const MIB = 1024 * 1024;

let alpha: Credentials;
let beta: Credentials;
let gamma: Credentials;
let operator: Credentials;

before(async () => {
  const authority = await testAuthority();
  [alpha, beta, gamma, operator] = await Promise.all([
    authority.host("alpha"),
    authority.host("beta"),
    authority.host("gamma"),
    authority.operator("eve"),
  ]);
});

const nothing: BatchHandler = { onBatch() {} };

function listen(token: Uint8Array, more: { pacer?: Pacer; onRefused?: (error: GodwitError) => void } = {}) {
  return BulkListener.listen({
    host: "127.0.0.1",
    port: 0,
    credentials: alpha,
    peerName: "beta",
    token,
    ...more,
  });
}

function dial(port: number, token: Uint8Array, handler = nothing, credentials = beta): Promise<BulkReceiver> {
  return dialBulk({
    host: "127.0.0.1",
    port,
    peerName: "alpha",
    credentials,
    token,
    blockPages: [BLOCK_PAGES],
    handler,
  });
}

async function pair(
  handler = nothing,
  pacer?: Pacer,
): Promise<{ sender: BulkSender; receiver: BulkReceiver }> {
  const token = randomBytes(32);
  const listener = await listen(token, pacer === undefined ? {} : { pacer });
  const [receiver, sender] = await Promise.all([dial(listener.port, token, handler), listener.accept()]);
  return { sender, receiver };
}

test("only the right host with the right token gets the connection, and only one does", async () => {
  const token = randomBytes(32);
  const refusals: string[] = [];
  const listener = await listen(token, { onRefused: (error) => refusals.push(error.code) });
  const { port } = listener;
  await assert.rejects(dial(port, token, nothing, gamma), { code: "GODWIT_BULK_REFUSED" });
  await assert.rejects(dial(port, token, nothing, operator), { code: "GODWIT_BULK_REFUSED" });
  await assert.rejects(dial(port, randomBytes(32)), { code: "GODWIT_BULK_REFUSED" });
  await assert.rejects(dial(port, token.subarray(1)), { code: "GODWIT_BULK_TOKEN" });
  assert.deepEqual(refusals, ["GODWIT_TLS_WRONG_HOST", "GODWIT_TLS_NOT_A_HOST", "GODWIT_BULK_TOKEN"]);
  const idle = await connectSecurely({ host: "127.0.0.1", port, peerName: "alpha", credentials: beta });
  idle.socket.on("error", () => {});
  const [receiver, sender] = await Promise.all([dial(port, token), listener.accept()]);
  await assert.rejects(dial(port, token), { code: /^GODWIT_/ });
  if (!idle.socket.destroyed) await once(idle.socket, "close");
  sender.destroy();
  assert.equal((await receiver.closed)?.code, "GODWIT_BULK_LINK");
});

test("a listener that is closed or cancelled gives up its port and its waiter", async () => {
  const token = randomBytes(32);
  const listener = await listen(token);
  const controller = new AbortController();
  const waiting = assert.rejects(listener.accept(controller.signal), { code: "GODWIT_CANCELLED" });
  controller.abort();
  await waiting;
  await assert.rejects(dial(listener.port, token), { code: "GODWIT_CONNECT_REFUSED" });
  await assert.rejects(listen(token.subarray(1)), { code: "GODWIT_BULK_TOKEN" });
});

test("a connection that ends without a goodbye was cut, on both sides", async () => {
  const { sender, receiver } = await pair();
  receiver.close();
  assert.equal((await sender.closed)?.code, "GODWIT_BULK_LINK");
  assert.equal((await receiver.closed)?.code, "GODWIT_CANCELLED");
  assert.throws(() => sender.write(Buffer.alloc(10)), { code: "GODWIT_BULK_LINK" });
  await assert.rejects(sender.drained(), { code: "GODWIT_BULK_LINK" });
});

test("what the placing of pages throws ends the connection with that error", async () => {
  const { sender, receiver } = await pair({
    onBatch() {
      throw new Error("no room");
    },
  });
  sender.write(new BatchEncoder().encode(0, new Uint32Array([0, 1]), 1, Buffer.alloc(PAGE_BYTES)));
  const reason = await receiver.closed;
  assert.equal(reason?.code, "GODWIT_BULK_PLACE");
  assert.match(reason?.message ?? "", /no room/);
  await sender.closed;
});

for (const where of ["while it places a batch", "at any other time"] as const) {
  test(`a receiver that pauses ${where} stops the sender within its bound, and all arrives later`, () =>
    stall(where));
}

async function stall(where: "while it places a batch" | "at any other time"): Promise<void> {
  let arrived = 0;
  const { sender, receiver } = await pair({
    onBatch() {
      arrived += 1;
      if (arrived > 1) return;
      if (where === "while it places a batch") receiver.pause();
      else setImmediate(() => receiver.pause());
    },
  });
  const encoder = new BatchEncoder({ compression: "none" });
  const pages = Buffer.alloc(MAXIMUM_BATCH_PAGES * PAGE_BYTES, "not zero");
  const runs = new Uint32Array([0, MAXIMUM_BATCH_PAGES]);
  const before = process.memoryUsage().arrayBuffers;
  let written = 0;
  for (;;) {
    const more = sender.write(encoder.encode(0, runs, 1, pages, sender.buffer()));
    written += 1;
    if (!more) {
      const drained = sender.drained(AbortSignal.timeout(400));
      const wentOn = await drained.then(
        () => true,
        () => false,
      );
      if (!wentOn) break;
    }
    assert.ok(written < 200, "the sender never had to wait");
  }
  assert.equal(sender.buffer(), undefined, "all buffers are under way");
  assert.throws(() => sender.write(Buffer.alloc(1)), { code: "GODWIT_BULK_FULL" });
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 16 * MIB, `${grown / MIB} MiB more memory for ${written} MiB written`);
  receiver.resume();
  await sender.drained();
  sender.write(encoder.goodbye());
  await sender.end();
  assert.equal(await receiver.closed, null);
  assert.equal(arrived, written);
}

/** What a sender is late by beyond this the pacer does not make good. */
const MADE_GOOD_MS = 40;
/** Timers are late by a millisecond or two; a write that is late by more than this was kept from running. */
const STALLED_MS = 10;

test("the bandwidth cap holds within 5 % on a real connection, in bytes on the wire", async (t) => {
  // Much less than any machine carries: the cap is the limit and nothing else.
  const rate = 10e6;
  const pacer = new Pacer();
  pacer.setRate(rate);
  const { sender, receiver } = await pair(nothing, pacer);
  t.after(() => sender.destroy());
  const encoder = new BatchEncoder({ compression: "none" });
  const pages = Buffer.alloc(16 * PAGE_BYTES, "not zero");
  const runs = new Uint32Array([0, 16]);
  /** Bytes a second, of the whole time and of that without what a machine that was busy elsewhere was too late by. */
  const send = async (until: (bytes: number, ms: number) => boolean) => {
    const bytes = sender.bytesOnWire;
    const began = performance.now();
    let [seenBytes, seenMs, lateMs, forgottenMs] = [bytes, began, 0, 0];
    while (!until(sender.bytesOnWire - bytes, performance.now() - began)) {
      if (!sender.write(encoder.encode(0, runs, 1, pages, sender.buffer()))) await sender.drained();
      const now = performance.now();
      const overMs = now - seenMs - (sender.bytesOnWire - seenBytes) / (rate / 1000);
      if (overMs > STALLED_MS || overMs < 0) lateMs = Math.max(0, lateMs + overMs);
      forgottenMs += Math.max(0, lateMs - MADE_GOOD_MS);
      lateMs = Math.min(lateMs, MADE_GOOD_MS);
      [seenBytes, seenMs] = [sender.bytesOnWire, now];
    }
    const sent = sender.bytesOnWire - bytes;
    const ms = performance.now() - began;
    return { whole: sent / (ms / 1000), undisturbed: sent / ((ms - forgottenMs) / 1000) };
  };
  await send((bytes) => bytes > 0.1 * rate);
  const seen: { whole: number; undisturbed: number }[] = [];
  do seen.push(await send((_bytes, ms) => ms > 1500));
  while (seen.length < 5 && seen.at(-1)!.undisturbed < 0.95 * rate);
  const told = `${seen.map(({ whole, undisturbed }) => `${whole / rate} (${undisturbed / rate})`)} of the rate`;
  const best = Math.max(...seen.map(({ undisturbed }) => undisturbed));
  assert.ok(best < 1.05 * rate && best > 0.95 * rate, told);
  pacer.setRate(null);
  const free: number[] = [];
  do free.push((await send((bytes) => bytes > 50e6)).whole / rate);
  while (free.length < 5 && (free.at(-1) as number) < 1.5);
  assert.ok(Math.max(...free) > 1.5, `without the cap the same connection is faster: ${free} of the rate`);
  sender.destroy();
  await receiver.closed;
});

for (const compression of ["none", "zstd", "auto"] as const) {
  test(`two threads send random batches (${compression}), and every page arrives as it was`, async () => {
    await Promise.all([0, 1].map((seed) => sendAndCompare(compression, seed)));
  });
}

async function sendAndCompare(compression: "none" | "zstd" | "auto", seed: number): Promise<void> {
  const token = randomBytes(32);
  const input: TestSenderInput = {
    credentials: alpha,
    token,
    seed,
    batches: 30,
    blockPages: BLOCK_PAGES,
    compression,
    pacer: undefined,
  };
  const worker = new Worker(new URL("./test-sender-thread.ts", import.meta.url), { workerData: input });
  const [{ port }] = (await once(worker, "message")) as [{ port: number }];
  const expected = Buffer.alloc(PAGE_BYTES);
  const seen: BulkTotals[] = [];
  const receiver = await dial(port, token, {
    onBatch(block, runs, runCount, zeroFlags, contents) {
      let index = 0;
      let at = 0;
      for (let run = 0; run < runCount; run += 1) {
        const first = runs[2 * run] as number;
        for (let page = first; page < first + (runs[2 * run + 1] as number); page += 1) {
          fillPage(expected, 0, block, page);
          const zero = zeroFlags[index] === 1;
          const length = zero ? 0 : PAGE_BYTES;
          if (zero) assert.ok(expected.equals(Buffer.alloc(PAGE_BYTES)));
          else assert.ok(expected.equals(contents.subarray(at, at + length)), `page ${page}`);
          at += length;
          index += 1;
        }
      }
    },
    onEndOfSet: (set, totals) => {
      assert.equal(set, 1);
      seen.push(totals);
    },
  });
  const [result] = (await once(worker, "message")) as [
    { totals: BulkTotals; bytesOnWire: number; frameBytes: number },
  ];
  assert.equal(await receiver.closed, null);
  assert.deepEqual(seen, [result.totals]);
  assert.deepEqual(receiver.totals, result.totals);
  assert.equal(receiver.receivedBytes, result.frameBytes);
  const overhead = result.bytesOnWire - result.frameBytes;
  assert.ok(overhead > 2000 && overhead < 8000 + 0.01 * result.frameBytes, `${overhead} bytes of TLS`);
  await worker.terminate();
}

test("filling runs is filling their pages", () => {
  const pages = Buffer.alloc(3 * PAGE_BYTES);
  const page = Buffer.alloc(PAGE_BYTES);
  assert.equal(fillRuns(pages, 0, new Uint32Array([4, 1, 9, 2]), 2), 3);
  fillPage(page, 0, 0, 10);
  assert.ok(page.equals(pages.subarray(2 * PAGE_BYTES)));
});
