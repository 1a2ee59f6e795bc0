import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { asGodwitError, type ErrorRecord } from "../../base/errors.ts";
import { RamSectionWriter, ramSectionBytes } from "../../stream/index.ts";
import { type BatchHandler, type BulkTotals, type Credentials, dialBulk } from "../../wire/index.ts";
import { BATCH_PAGES } from "../scheduler.ts";
import type { HeadBlock } from "./source-protocol.ts";
import { WriteLock } from "./write-lock.ts";

/** What a receiver thread is started with. */
export interface ReceiverInput {
  readonly credentials: Credentials;
  readonly host: string;
  readonly port: number;
  readonly peerName: string;
  readonly token: Uint8Array;
  readonly sectionId: number;
  readonly blocks: readonly HeadBlock[];
  readonly lock: SharedArrayBuffer;
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
  readonly #section = new RamSectionWriter(
    input.sectionId,
    input.blocks,
    Buffer.allocUnsafeSlow(ramSectionBytes(BATCH_PAGES)),
  );
  onEndOfSet: (set: number, totals: BulkTotals) => void = () => {};

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

async function main(): Promise<void> {
  const placer = new Placer();
  const receiver = await dialBulk({
    host: input.host,
    port: input.port,
    credentials: input.credentials,
    peerName: input.peerName,
    token: input.token,
    blockPages: input.blocks.map(({ usedBytes }) => Math.ceil(usedBytes / PAGE_BYTES)),
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

main().catch((thrown) => {
  const error = asGodwitError(thrown, "GODWIT_RECEIVER", { side: "destination" });
  tell({ type: "failed", error: error.toJSON() });
});
