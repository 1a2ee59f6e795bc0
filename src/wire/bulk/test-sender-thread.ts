import { parentPort, workerData } from "node:worker_threads";
import type { Credentials } from "../credentials.ts";
import type { CompressionMode } from "./choice.ts";
import { BatchEncoder } from "./encoder.ts";
import { MAXIMUM_BATCH_PAGES, PAGE_BYTES } from "./format.ts";
import { BulkListener } from "./listener.ts";
import { Pacer } from "./pacer.ts";
import { fillRuns, numbersFrom } from "./test-pages.ts";

/** What the test tells its sending thread. */
export interface TestSenderInput {
  readonly credentials: Credentials;
  readonly token: Uint8Array;
  readonly seed: number;
  readonly batches: number;
  readonly blockPages: number;
  readonly compression: CompressionMode;
  readonly pacer: SharedArrayBuffer | undefined;
}

const input = workerData as TestSenderInput;
const listener = await BulkListener.listen({
  host: "127.0.0.1",
  port: 0,
  credentials: input.credentials,
  peerName: "beta",
  token: input.token,
  ...(input.pacer === undefined ? {} : { pacer: new Pacer(input.pacer) }),
});
parentPort?.postMessage({ port: listener.port });
const sender = await listener.accept();
const encoder = new BatchEncoder({ compression: input.compression, meter: sender.meter });
const pages = Buffer.alloc(MAXIMUM_BATCH_PAGES * PAGE_BYTES);
const next = numbersFrom(input.seed);
for (let batch = 0; batch < input.batches; batch += 1) {
  const runs = new Uint32Array(2 * (1 + (next() % 8)));
  let end = next() % (input.blockPages - 8 * 40);
  let count = 0;
  for (let run = 0; run < runs.length; run += 2) {
    runs[run] = end + (next() % 8);
    runs[run + 1] = 1 + (next() % 32);
    end = (runs[run] as number) + (runs[run + 1] as number);
    count += runs[run + 1] as number;
  }
  fillRuns(pages, 0, runs, runs.length / 2);
  const frame = encoder.encode(
    0,
    runs,
    runs.length / 2,
    pages.subarray(0, count * PAGE_BYTES),
    sender.buffer(),
  );
  if (!sender.write(frame)) await sender.drained();
}
if (!sender.write(encoder.endOfSet(1))) await sender.drained();
sender.write(encoder.goodbye());
await sender.end();
parentPort?.postMessage({
  totals: encoder.totals,
  bytesOnWire: sender.bytesOnWire,
  frameBytes: encoder.counters.frameBytes,
});
