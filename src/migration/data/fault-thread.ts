import { parentPort, workerData } from "node:worker_threads";
import { keepCompiled } from "../../base/compile-cache.ts";
import { asGodwitError, type ErrorRecord } from "../../base/errors.ts";
import { GuestMemory } from "../../qemu/guest-memory.ts";
import type { MemorySource } from "../../qemu/memory-source.ts";
import type { CompressionMode } from "../../wire/bulk/choice.ts";
import { BatchEncoder } from "../../wire/bulk/encoder.ts";
import { pageArea } from "../../wire/bulk/format.ts";
import { Pacer } from "../../wire/bulk/pacer.ts";
import type { BulkSender } from "../../wire/bulk/sender.ts";
import { Ledger, type SharedLedger } from "../ledger.ts";
import { Bubble } from "./bubble.ts";
import { type ConnectionInput, type ConnectionNotice, ownConnection } from "./bulk-connection.ts";
import { FaultServer } from "./fault-server.ts";
import { Outrun } from "./outrun.ts";
import type { ConnectionTotals, HeadBlock } from "./source-protocol.ts";

/** What the fault thread is started with. */
export interface FaultInput extends ConnectionInput {
  readonly pacer: SharedArrayBuffer;
  readonly memory: readonly MemorySource[];
  readonly bubblePages: number | null;
  readonly compression: CompressionMode;
}

/** What the fault thread is told. */
export type FaultTask =
  /** From now on requests are answered. */
  | { readonly type: "serve"; readonly ledger: SharedLedger; readonly blocks: readonly HeadBlock[] }
  /** Nothing is owed any more: the set ends as soon as all that waits is answered. */
  | { readonly type: "end-of-set"; readonly set: number };

/** What the fault thread tells. */
export type FaultNotice =
  | ConnectionNotice
  | { readonly type: "placed"; readonly pages: number; readonly bytesOnWire: number }
  /** Whether the guest is faster than push from now on. */
  | { readonly type: "outrun"; readonly on: boolean }
  | {
      readonly type: "totals";
      readonly totals: ConnectionTotals;
      readonly bytesOnWire: number;
      readonly bubblePages: number;
      /** The first requests in order, as pairs of RAM block and page. */
      readonly learned: readonly number[];
    }
  | { readonly type: "failed"; readonly error: ErrorRecord };

const PAGE_BYTES = 4096;

/** How soon the senders learn that the guest outruns them, or no longer does. */
const OUTRUN_INTERVAL_MS = 100;

const input = workerData as FaultInput;

/** Owns the connection that faults are answered on: no bulk data ever waits before them here. */
class FaultThread {
  readonly #sender: BulkSender;
  readonly #encoder = new BatchEncoder({ compression: input.compression });
  readonly #memory = new GuestMemory(input.memory);
  readonly #underWay: number[] = [];
  #server: FaultServer | null = null;
  #placedBatches = 0;
  #ending = false;
  readonly #outrun = new Outrun();

  constructor(sender: BulkSender) {
    this.#sender = sender;
    sender.onPlaced((batches) => this.#placed(batches));
    sender.onRequest((block, first, count) => {
      // Before the service began the destination doesn't listen yet. After the last set only zero pages are missing,
      // which QEMU puts in place by itself when its post-copy ends.
      if (this.#ending) return;
      this.#server?.request(block, first, count);
      this.#server?.work().catch(fail);
    });
    void sender.closed.then((error) => {
      if (error !== null) tell({ type: "failed", error: error.with({ side: "source" }).toJSON() });
    });
  }

  take(task: FaultTask): void {
    if (task.type === "serve") this.#serve(task);
    else this.#endOfSet(task.set).catch(fail);
  }

  #serve({ ledger, blocks }: Extract<FaultTask, { type: "serve" }>): void {
    const sources = blocks.map(({ name }) => this.#memory.indexOf(name));
    const sender = this.#sender;
    const pacer = new Pacer(input.pacer);
    this.#server = new FaultServer(
      Ledger.attach(ledger),
      new Bubble(input.bubblePages),
      {
        ready: async () => {
          await sender.drained();
          return sender.buffer()!;
        },
        send: (block, runs, pages, frame, alone) => {
          // One page is sooner there as it is than compressed.
          this.#encoder.hurried = alone;
          const contents = pageArea(frame).subarray(0, pages * PAGE_BYTES);
          const encoded = this.#encoder.encode(block, runs, runs.length / 2, contents, frame);
          this.#underWay.push(pages);
          // What faults take is taken off what push may: they themselves never wait for the cap.
          pacer.reserve(encoded.length);
          sender.write(encoded);
        },
      },
      (block, first, count, into, offset) => this.#memory.read(sources[block]!, first, count, into, offset),
    );
    this.#server.onUnderWay = () => this.#outrun.asked(performance.now());
    setInterval(() => {
      const before = this.#outrun.isOutrun;
      this.#outrun.look(performance.now());
      const on = this.#outrun.isOutrun;
      if (on !== before) tell({ type: "outrun", on });
    }, OUTRUN_INTERVAL_MS).unref();
  }

  async #endOfSet(set: number): Promise<void> {
    this.#ending = true;
    await this.#server?.work();
    await this.#sender.drained();
    this.#sender.write(this.#encoder.endOfSet(set));
    tell({
      type: "totals",
      totals: this.#encoder.totals,
      bytesOnWire: this.#sender.bytesOnWire,
      bubblePages: this.#server?.bubblePages ?? 0,
      learned: this.#server?.learned ?? [],
    });
  }

  #placed(batches: number): void {
    let pages = 0;
    for (; this.#placedBatches < batches; this.#placedBatches++) pages += this.#underWay.shift()!;
    tell({ type: "placed", pages, bytesOnWire: this.#sender.bytesOnWire });
  }
}

function tell(notice: FaultNotice): void {
  parentPort!.postMessage(notice);
}

function fail(thrown: unknown): void {
  tell({ type: "failed", error: asGodwitError(thrown, "GODWIT_SENDER", { side: "source" }).toJSON() });
}

keepCompiled();
ownConnection<FaultTask>(input, null, (sender) => {
  const thread = new FaultThread(sender);
  return (task) => thread.take(task);
}).catch(fail);
