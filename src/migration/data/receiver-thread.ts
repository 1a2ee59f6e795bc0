import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { asGodwitError, type ErrorRecord } from "../../base/errors.ts";
// From the files themselves: the rooms' doors bring much along, which costs each thread 0.1 s.
import { RamSectionWriter, ramSectionBytes } from "../../stream/ram-section-writer.ts";
import { dialBulk } from "../../wire/bulk/dial.ts";
import type { BatchHandler, BulkTotals, Credentials } from "../../wire/index.ts";
import { BATCH_PAGES } from "../scheduler.ts";
import type { HeadBlock } from "./source-protocol.ts";
import { WriteLock } from "./write-lock.ts";

/** What a receiver thread is started with; the rest comes with its one message, {@link DialOrder}. */
export interface ReceiverInput {
  readonly lock: SharedArrayBuffer;
}

/** Where a receiver thread dials, and what it will be told there. */
export interface DialOrder {
  readonly sectionId: number;
  readonly blocks: readonly HeadBlock[];
  readonly credentials: Credentials;
  readonly host: string;
  readonly port: number;
  readonly peerName: string;
  readonly token: Uint8Array;
}

/** What a receiver thread tells. */
export type ReceiverNotice =
  | { readonly type: "connected" }
  /** Of the connection so far, a few times a second. */
  | { readonly type: "progress"; readonly totals: BulkTotals; readonly receivedBytes: number }
  /** Everything up to here is written to QEMU. */
  | { readonly type: "set-complete"; readonly totals: BulkTotals; readonly receivedBytes: number }
  | { readonly type: "failed"; readonly error: ErrorRecord };

/** QEMU's migration socket: the data process' standard input, and so in blocking mode. */
const QEMU_SOCKET = 0;

/** For display only. */
const PROGRESS_INTERVAL_MS = 250;

const PAGE_BYTES = 4096;

const input = workerData as ReceiverInput;

/** Composes one RAM section per batch and writes it whole, under the lock that all threads share. */
class Placer implements BatchHandler {
  readonly #lock = new WriteLock(input.lock);
  readonly #section: RamSectionWriter;
  onEndOfSet: (set: number, totals: BulkTotals) => void = () => {};

  constructor({ sectionId, blocks }: DialOrder) {
    const buffer = Buffer.allocUnsafeSlow(ramSectionBytes(BATCH_PAGES));
    this.#section = new RamSectionWriter(sectionId, blocks, buffer);
  }

  onBatch(block: number, runs: Uint32Array, runCount: number, zeroFlags: Uint8Array, contents: Buffer): void {
    const section = this.#section;
    section.begin();
    let index = 0;
    let offset = 0;
    for (let run = 0; run < runCount; run++) {
      const first = runs[2 * run]!;
      const count = runs[2 * run + 1]!;
      for (let page = first; page < first + count; page++, index++) {
        if (zeroFlags[index] === 1) section.zero(block, page);
        else {
          section.page(block, page, contents, offset);
          offset += PAGE_BYTES;
        }
      }
    }
    const bytes = section.finish();
    this.#lock.run(() => writeWhole(bytes));
  }
}

function writeWhole(bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(QEMU_SOCKET, bytes, written, bytes.length - written);
  }
}

function tell(notice: ReceiverNotice): void {
  parentPort!.postMessage(notice);
}

async function receive(order: DialOrder): Promise<void> {
  const placer = new Placer(order);
  const receiver = await dialBulk({
    host: order.host,
    port: order.port,
    credentials: order.credentials,
    peerName: order.peerName,
    token: order.token,
    blockPages: order.blocks.map(({ usedBytes }) => Math.ceil(usedBytes / PAGE_BYTES)),
    handler: placer,
  });
  placer.onEndOfSet = (_set, totals) => {
    tell({ type: "set-complete", totals, receivedBytes: receiver.receivedBytes });
  };
  tell({ type: "connected" });
  const timer = setInterval(() => {
    tell({ type: "progress", totals: receiver.totals, receivedBytes: receiver.receivedBytes });
  }, PROGRESS_INTERVAL_MS);
  const error = await receiver.closed;
  clearInterval(timer);
  if (error !== null) throw error;
}

parentPort!.once("message", (order: DialOrder) => {
  receive(order).catch((thrown) => {
    const error = asGodwitError(thrown, "GODWIT_RECEIVER", { side: "destination" });
    tell({ type: "failed", error: error.toJSON() });
  });
});
