import { parentPort, workerData } from "node:worker_threads";
import { keepCompiled } from "../../base/compile-cache.ts";
import { asGodwitError, type ErrorRecord } from "../../base/errors.ts";
import { GuestMemory } from "../../qemu/guest-memory.ts";
import type { MemorySource } from "../../qemu/memory-source.ts";
import type { CompressionMode } from "../../wire/bulk/choice.ts";
// From the files themselves: the room's door brings the control channel along, which costs each thread 0.1 s.
import { BatchEncoder } from "../../wire/bulk/encoder.ts";
import { pageArea } from "../../wire/bulk/format.ts";
import { KeptPages } from "../../wire/bulk/kept-pages.ts";
import type { BulkSender } from "../../wire/bulk/sender.ts";
import { type ConnectionInput, type ConnectionNotice, ownConnection } from "./bulk-connection.ts";
import { yieldToFaults } from "./bulk-priority.ts";
import { ContentRing } from "./content-ring.ts";
import type { ConnectionTotals, HeadBlock } from "./source-protocol.ts";

/** What a sender thread is started with. */
export interface SenderInput extends ConnectionInput {
  readonly connection: number;
  /** Bulk connections of the migration. */
  readonly connections: number;
  readonly compression: CompressionMode;
  readonly pacer: SharedArrayBuffer;
  readonly memory: readonly MemorySource[];
  readonly ring: SharedArrayBuffer;
  readonly ringSlots: number;
}

/** What a sender thread is given to do, in order. */
export type SenderTask =
  | { readonly type: "blocks"; readonly blocks: readonly HeadBlock[] }
  | {
      readonly type: "memory";
      readonly block: number;
      readonly runs: Uint32Array;
      readonly pages: number;
      readonly hot: boolean;
    }
  | {
      readonly type: "slot";
      readonly block: number;
      readonly runs: Uint32Array;
      readonly pages: number;
      readonly slot: number;
    }
  | { readonly type: "hurry"; readonly on: boolean }
  /** The guest runs at the destination: faults come first, on another thread. */
  | { readonly type: "yield" }
  | { readonly type: "end-of-set"; readonly set: number };

/** What a sender thread tells. */
export type SenderNotice =
  | ConnectionNotice
  | {
      readonly type: "placed";
      /** Placed at the destination, of the connection so far. */
      readonly batches: number;
      /** Newly placed ones. */
      readonly pages: number;
      /** Of the connection so far. */
      readonly zeroPages: number;
      /** Of the connection so far: pages that travelled as differences. */
      readonly differencePages: number;
      readonly bytesOnWire: number;
    }
  | { readonly type: "totals"; readonly totals: ConnectionTotals; readonly bytesOnWire: number }
  | { readonly type: "failed"; readonly error: ErrorRecord };

const PAGE_BYTES = 4096;

const input = workerData as SenderInput;

/** Owns one bulk connection: reads pages, packs them, writes them. No page crosses to another thread. */
class SenderThread {
  readonly #sender: BulkSender;
  readonly #encoder: BatchEncoder;
  readonly #ring = new ContentRing(input.ringSlots, input.ring);
  readonly #memory = new GuestMemory(input.memory);
  readonly #tasks: SenderTask[] = [];
  /** Pages of the batches that are written and not yet placed, oldest first. */
  readonly #underWay: number[] = [];
  #sources: number[] = [];
  #placedBatches = 0;
  #working = false;

  constructor(sender: BulkSender) {
    this.#sender = sender;
    const { compression, connections } = input;
    const kept = new KeptPages(connections);
    this.#encoder = new BatchEncoder({ compression, meter: sender.meter, kept });
    sender.onPlaced((batches) => this.#placed(batches));
    void sender.closed.then((error) => {
      if (error !== null) tell({ type: "failed", error: error.with({ side: "source" }).toJSON() });
    });
  }

  add(task: SenderTask): void {
    if (task.type === "yield") {
      yieldToFaults();
      return;
    }
    if (task.type === "hurry") {
      this.#encoder.hurried = task.on;
      return;
    }
    this.#tasks.push(task);
    if (!this.#working) this.#work().catch(fail);
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      if (task.type === "blocks") {
        this.#sources = task.blocks.map(({ name }) => this.#memory.indexOf(name));
      } else if (task.type === "end-of-set") {
        await this.#send(this.#encoder.endOfSet(task.set));
        const { totals } = this.#encoder;
        tell({ type: "totals", totals, bytesOnWire: this.#sender.bytesOnWire });
      } else if (task.type !== "hurry" && task.type !== "yield") {
        await this.#sendBatch(task);
      }
    }
    this.#working = false;
  }

  async #sendBatch(task: Extract<SenderTask, { runs: Uint32Array }>): Promise<void> {
    const bytes = task.pages * PAGE_BYTES;
    // Waiting comes before reading: what is read late is new, and need not go again.
    await this.#sender.drained();
    const target = this.#sender.buffer()!;
    // Read to where the frame wants them, so that pages that stay as they are need no copy.
    const contents =
      task.type === "slot"
        ? this.#ring.contents(task.slot)
        : this.#read(this.#sources[task.block]!, task.runs, pageArea(target));
    const runCount = task.runs.length / 2;
    const pages = contents.subarray(0, bytes);
    const again = task.type === "memory" && task.hot;
    const frame = this.#encoder.encode(task.block, task.runs, runCount, pages, target, again);
    if (task.type === "slot") this.#ring.release(task.slot);
    this.#underWay.push(task.pages);
    this.#sender.write(frame);
  }

  #placed(batches: number): void {
    let pages = 0;
    for (; this.#placedBatches < batches; this.#placedBatches++) pages += this.#underWay.shift()!;
    const { zeroPages, differencePages } = this.#encoder.counters;
    const { bytesOnWire } = this.#sender;
    tell({ type: "placed", batches, pages, zeroPages, differencePages, bytesOnWire });
  }

  async #send(frame: Buffer): Promise<void> {
    await this.#sender.drained();
    this.#sender.write(frame);
  }

  #read(source: number, runs: Uint32Array, into: Buffer): Buffer {
    let offset = 0;
    for (let run = 0; run < runs.length; run += 2) {
      offset += this.#memory.read(source, runs[run]!, runs[run + 1]!, into, offset);
    }
    return into;
  }
}

function tell(notice: SenderNotice): void {
  parentPort!.postMessage(notice);
}

function fail(thrown: unknown): void {
  tell({ type: "failed", error: asGodwitError(thrown, "GODWIT_SENDER", { side: "source" }).toJSON() });
}

keepCompiled();
ownConnection<SenderTask>(input, input.pacer, (sender) => {
  const thread = new SenderThread(sender);
  return (task) => thread.add(task);
}).catch(fail);
