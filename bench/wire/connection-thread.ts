import { parentPort, workerData } from "node:worker_threads";
import {
  BatchEncoder,
  BulkListener,
  dialBulk,
  MAXIMUM_BATCH_PAGES,
  PAGE_BYTES,
  pageArea,
} from "../../src/wire/index.ts";
import type { ThreadInput, ThreadResult } from "./connections.ts";

const BATCH_BYTES = MAXIMUM_BATCH_PAGES * PAGE_BYTES;
const input = workerData as ThreadInput;
const corpus = Buffer.from(input.corpus);
const result = input.role === "send" ? await send() : await receive();
parentPort?.postMessage(result);

/** Copies pages out of the corpus, as reading guest memory would, and sends them. */
async function send(): Promise<ThreadResult> {
  const listener = await BulkListener.listen({
    host: "127.0.0.1",
    port: 0,
    credentials: input.credentials,
    peerName: "beta",
    token: input.token,
  });
  parentPort?.postMessage({ port: listener.port });
  const sender = await listener.accept();
  const encoder = new BatchEncoder({
    compression: input.mode.compression,
    level: input.mode.level,
    meter: sender.meter,
  });
  const runs = new Uint32Array([0, MAXIMUM_BATCH_PAGES]);
  const began = performance.now();
  const cpu = process.threadCpuUsage();
  for (let batch = 0; performance.now() - began < 1000 * input.seconds; batch += 1) {
    const at = (batch * BATCH_BYTES) % corpus.length;
    const buffer = sender.buffer() as Buffer;
    const pages = pageArea(buffer);
    corpus.copy(pages, 0, at, at + BATCH_BYTES);
    if (!sender.write(encoder.encode(0, runs, 1, pages, buffer))) await sender.drained();
  }
  await sender.drained();
  sender.write(encoder.goodbye());
  await sender.end();
  return finish(encoder.totals.pages, sender.bytesOnWire, cpu, began);
}

/** Copies what arrives once, as placing it would. */
async function receive(): Promise<ThreadResult> {
  const placed = Buffer.alloc(BATCH_BYTES);
  const receiver = await dialBulk({
    host: "127.0.0.1",
    port: input.port,
    peerName: "alpha",
    credentials: input.credentials,
    token: input.token,
    blockPages: [MAXIMUM_BATCH_PAGES],
    handler: { onBatch: (_block, _runs, _runCount, _zeroFlags, contents) => void contents.copy(placed) },
  });
  const began = performance.now();
  const cpu = process.threadCpuUsage();
  const reason = await receiver.closed;
  if (reason !== null) throw reason;
  return finish(receiver.totals.pages, receiver.receivedBytes, cpu, began);
}

function finish(pages: number, wireBytes: number, cpu: NodeJS.CpuUsage, beganMs: number): ThreadResult {
  const { user, system } = process.threadCpuUsage(cpu);
  return {
    guestBytes: pages * PAGE_BYTES,
    wireBytes,
    cpuSeconds: (user + system) / 1e6,
    seconds: (performance.now() - beganMs) / 1000,
  };
}
