import { read } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { keepCompiled } from "../../base/compile-cache.ts";
import { asGodwitError, type ErrorRecord } from "../../base/errors.ts";
// From the files themselves: the rooms' doors bring much along, which costs each thread 0.1 s.
import { PageBitmap } from "../../pages/index.ts";
import type { MemorySource } from "../../qemu/memory-source.ts";
import { ReturnPathReader } from "../../stream/return-path.ts";
import { type BulkReceiver, dialBulk } from "../../wire/bulk/dial.ts";
import { KeptPages } from "../../wire/bulk/kept-pages.ts";
import type { BulkTotals, Credentials } from "../../wire/index.ts";
import { yieldToFaults } from "./bulk-priority.ts";
import { type FaultFigures, FaultLatency } from "./fault-latency.ts";
import { Placer } from "./placer.ts";
import type { HeadBlock } from "./source-protocol.ts";
import { WriteLock } from "./write-lock.ts";

/** What a receiver thread is started with; the rest comes with its one message, {@link DialOrder}. */
export interface ReceiverInput {
  readonly lock: SharedArrayBuffer;
  /** Bulk connections of the migration. */
  readonly connections: number;
  /** This connection answers what QEMU asks for on its return path. */
  readonly faults: boolean;
}

/** Where a receiver thread dials, and what it will be told there. */
export interface DialOrder {
  /** Pages that QEMU asked for and has not got, one bitmap a RAM block, shared by all receiver threads. */
  readonly requested: readonly SharedArrayBuffer[];
  /** Pages that were written to QEMU, likewise: a request may cross with its answer. */
  readonly placed: readonly SharedArrayBuffer[];
  /** RAM blocks that are written from outside; the others by QEMU, from its stream. */
  readonly memory: readonly MemorySource[];
  /** One number: not 0 once QEMU takes host pages whole only. */
  readonly listening: SharedArrayBuffer;
  readonly sectionId: number;
  readonly blocks: readonly HeadBlock[];
  readonly credentials: Credentials;
  readonly host: string;
  readonly port: number;
  readonly peerName: string;
  readonly token: Uint8Array;
}

/** Tells the thread that reads QEMU's requests that one was answered elsewhere. */
export type Answered = Extract<ReceiverNotice, { type: "answered" }>;

/** What a receiver thread tells. */
export type ReceiverNotice =
  | { readonly type: "connected" }
  /** Of the connection so far, a few times a second. */
  | { readonly type: "progress"; readonly totals: BulkTotals; readonly receivedBytes: number }
  /** Everything up to here is written to QEMU. */
  | {
      readonly type: "set-complete";
      readonly set: number;
      readonly totals: BulkTotals;
      readonly receivedBytes: number;
    }
  /** A page that QEMU had asked for was written to it, by a thread that doesn't read its requests. */
  | { readonly type: "answered"; readonly block: number; readonly page: number; readonly atEpochMs: number }
  /** QEMU answered a PING, or says that its post-copy is over. */
  | { readonly type: "pong"; readonly value: number }
  | { readonly type: "shut"; readonly status: number; readonly faults: FaultFigures }
  | { readonly type: "failed"; readonly error: ErrorRecord };

/** QEMU's migration socket: the data process' standard input, and so in blocking mode. */
const QEMU_SOCKET = 0;

/** Requests are 16 bytes; QEMU writes them one by one. */
const RETURN_PATH_BYTES = 4096;

/** For display only. */
const PROGRESS_INTERVAL_MS = 250;

const PAGE_BYTES = 4096;

const input = workerData as ReceiverInput;

/** With the fractions that Date.now() lacks, and the same clock in every thread. */
function nowEpochMs(): number {
  return performance.timeOrigin + performance.now();
}

function tell(notice: ReceiverNotice): void {
  parentPort!.postMessage(notice);
}

async function receive(order: DialOrder): Promise<void> {
  const placer = new Placer(order, new WriteLock(input.lock), QEMU_SOCKET);
  const receiver = await dialBulk({
    host: order.host,
    port: order.port,
    credentials: order.credentials,
    peerName: order.peerName,
    token: order.token,
    blockPages: order.blocks.map(({ usedBytes }) => Math.ceil(usedBytes / PAGE_BYTES)),
    handler: placer,
    kept: input.faults ? undefined : new KeptPages(input.connections),
  });
  placer.onEndOfSet = (set, totals) => {
    tell({ type: "set-complete", set, totals, receivedBytes: receiver.receivedBytes });
  };
  placer.onAnswered = (block, page) => tell({ type: "answered", block, page, atEpochMs: nowEpochMs() });
  if (input.faults) answerFaults(order, placer, receiver);
  tell({ type: "connected" });
  const timer = setInterval(() => {
    tell({ type: "progress", totals: receiver.totals, receivedBytes: receiver.receivedBytes });
  }, PROGRESS_INTERVAL_MS);
  const error = await receiver.closed;
  clearInterval(timer);
  if (error !== null) throw error;
}

/**
 * Reads QEMU's return path for as long as it lasts. A request leaves on this very connection, and its pages come back
 * on it: no other thread is in between.
 */
function answerFaults(order: DialOrder, placer: Placer, receiver: BulkReceiver): void {
  const latency = new FaultLatency();
  const requested = order.requested.map((shared) => PageBitmap.fromShared(shared));
  const placed = order.placed.map((shared) => PageBitmap.fromShared(shared));
  placer.onAnswered = (block, page) => latency.placed(block, page, nowEpochMs());
  parentPort!.on("message", ({ block, page, atEpochMs }: Answered) => latency.placed(block, page, atEpochMs));
  let lastBlock = 0;
  const reader = new ReturnPathReader((message) => {
    if (message.type === "pong") tell({ type: "pong", value: message.value });
    else if (message.type === "shut") {
      tell({ type: "shut", status: message.status, faults: latency.figures(nowEpochMs()) });
    } else if (message.type === "request") {
      if (message.block !== undefined)
        lastBlock = order.blocks.findIndex(({ name }) => name === message.block);
      const nowMs = nowEpochMs();
      const end = message.firstPage + message.pageCount;
      // What is asked for whole is one request.
      const step = order.blocks[lastBlock]!.pageSizeBytes / PAGE_BYTES;
      for (let page = message.firstPage; page < end; page += step) {
        requested[lastBlock]!.set(page);
        // Whoever takes the request out of the set has seen that the page is there, so that it is counted once.
        if (placed[lastBlock]!.has(page) && requested[lastBlock]!.clear(page)) continue;
        latency.asked(lastBlock, page, nowMs);
      }
      receiver.request(lastBlock, message.firstPage, message.pageCount);
    }
  });
  const buffer = Buffer.allocUnsafeSlow(RETURN_PATH_BYTES);
  const next = () => {
    read(QEMU_SOCKET, buffer, 0, buffer.length, null, (error, bytes) => {
      if (error !== null || bytes === 0) return;
      try {
        reader.push(buffer.subarray(0, bytes));
      } catch (thrown) {
        const failure = asGodwitError(thrown, "GODWIT_RECEIVER", { side: "destination" });
        tell({ type: "failed", error: failure.toJSON() });
        return;
      }
      next();
    });
  };
  next();
}

keepCompiled();
parentPort!.once("message", (order: DialOrder) => {
  if (!input.faults) parentPort!.on("message", yieldToFaults);
  receive(order).catch((thrown) => {
    const error = asGodwitError(thrown, "GODWIT_RECEIVER", { side: "destination" });
    tell({ type: "failed", error: error.toJSON() });
  });
});
