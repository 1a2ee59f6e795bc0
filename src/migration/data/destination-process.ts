import { writeSync } from "node:fs";
import type { Worker } from "node:worker_threads";
import { keepCompiled } from "../../base/compile-cache.ts";
import { asGodwitError, type ErrorRecord, GodwitError } from "../../base/errors.ts";
import { PageBitmap } from "../../pages/index.ts";
import {
  composeDiscards,
  composeHead,
  composePackage,
  composeRemainderEnd,
  composeTail,
  PING_LOADED,
} from "./composed-stream.ts";
import type { DestinationCommand, DestinationNotice } from "./destination-protocol.ts";
import type { FaultFigures } from "./fault-latency.ts";
import type { DialOrder, ReceiverInput, ReceiverNotice } from "./receiver-thread.ts";
import type { ConnectionTotals, HeadBlock } from "./source-protocol.ts";
import { startThread } from "./threads.ts";
import { WriteLock } from "./write-lock.ts";

type Start = Extract<DestinationCommand, { type: "start" }>;
type Finish = Extract<DestinationCommand, { type: "finish" }>;
type Resume = Extract<DestinationCommand, { type: "resume" }>;
type EndRemainder = Extract<DestinationCommand, { type: "end-remainder" }>;

/** QEMU's migration socket: our standard input, and so in blocking mode. */
const QEMU_SOCKET = 0;

interface Connection {
  readonly worker: Worker;
  totals: ConnectionTotals;
  receivedBytes: number;
  /** Sets that have arrived whole. */
  sets: number;
}

/** The data process of a migration's destination: receiver threads in, one composed stream into QEMU out. */
class DestinationProcess {
  readonly #lock = new WriteLock();
  readonly #connections: Connection[];
  #sectionId = 0;
  #connected = 0;
  #finish: Finish | null = null;
  #finished = false;
  readonly #postcopy: boolean;
  #resume: Resume | null = null;
  #resumed = false;
  #remainder: EndRemainder | null = null;
  readonly #discards: { readonly block: number; readonly runs: Uint32Array }[] = [];
  #blocks: readonly HeadBlock[] = [];
  #placed: readonly PageBitmap[] = [];
  /** Not 0 once QEMU takes host pages whole only; the threads look at it. */
  readonly #listening = new Int32Array(new SharedArrayBuffer(4));

  constructor(connections: number, postcopy: boolean) {
    this.#postcopy = postcopy;
    this.#connections = Array.from({ length: connections + (postcopy ? 1 : 0) }, (_, index) => {
      const input: ReceiverInput = { lock: this.#lock.buffer, connections, faults: index === connections };
      return {
        worker: startThread<ReceiverNotice>("./receiver-thread.ts", input, (notice) =>
          this.#says(index, notice),
        ),
        totals: { batches: 0, pages: 0, zeroPages: 0 },
        receivedBytes: 0,
        sets: 0,
      };
    });
  }

  /** The connections for bulk data; the one for faults comes after them. */
  get #bulk(): readonly Connection[] {
    return this.#postcopy ? this.#connections.slice(0, -1) : this.#connections;
  }

  start(start: Start): void {
    const { configuration, sectionId, blocks, ports } = start;
    if (ports.length !== this.#connections.length) {
      throw new GodwitError(
        "GODWIT_WIRE_INVALID",
        `${ports.length} ports for ${this.#connections.length} connections`,
      );
    }
    this.#sectionId = sectionId;
    this.#blocks = blocks;
    write(composeHead(configuration, sectionId, blocks, this.#postcopy));
    const { credentials, host, peerName, memory } = start;
    const token = Buffer.from(start.tokenHex, "hex");
    const bitmaps = () => blocks.map(({ usedBytes }) => new PageBitmap(Math.ceil(usedBytes / 4096)));
    const requested = bitmaps().map(({ buffer }) => buffer);
    this.#placed = bitmaps();
    const placed = this.#placed.map(({ buffer }) => buffer);
    this.#connections.forEach(({ worker }, index) => {
      const port = ports[index]!;
      const order: DialOrder = {
        credentials,
        host,
        port,
        peerName,
        token,
        requested,
        placed,
        memory,
        listening: this.#listening.buffer as SharedArrayBuffer,
        sectionId,
        blocks,
      };
      worker.postMessage(order);
    });
  }

  finish(finish: Finish): void {
    this.#finish = finish;
    this.#advance();
  }

  discard({ block, runs }: Extract<DestinationCommand, { type: "discards" }>): void {
    this.#discards.push({ block, runs });
  }

  resume(resume: Resume): void {
    this.#resume = resume;
    this.#advance();
  }

  endRemainder(end: EndRemainder): void {
    this.#remainder = end;
    this.#advance();
  }

  #says(index: number, notice: ReceiverNotice): void {
    if (notice.type === "failed") {
      // After the last page the source may be gone before we are.
      if (!this.#finished) fail(notice.error);
      return;
    }
    if (notice.type === "connected") {
      this.#connected += 1;
      if (this.#connected === this.#connections.length) tell({ type: "connected" });
      return;
    }
    if (notice.type === "answered") {
      this.#connections.at(-1)!.worker.postMessage(notice);
      return;
    }
    if (notice.type === "pong") {
      if (notice.value === PING_LOADED) this.#loaded();
      return;
    }
    if (notice.type === "shut") {
      this.#shut(notice.status, notice.faults);
      return;
    }
    const connection = this.#connections[index]!;
    // Behind the last set a late zero page may still come; the totals that are compared end with the set.
    if (connection.sets < 2) connection.totals = notice.totals;
    connection.receivedBytes = notice.receivedBytes;
    if (notice.type === "set-complete") {
      connection.sets = notice.set + 1;
      this.#advance();
    } else this.#tellProgress();
  }

  #shut(status: number, faults: FaultFigures): void {
    if (status !== 0) {
      const message = `QEMU ended its post-copy with ${status}`;
      fail(new GodwitError("GODWIT_QEMU_LOAD", message, { side: "destination" }).toJSON());
    } else if (this.#resumed) tell({ type: "remainder-complete", faults });
  }

  #advance(): void {
    this.#finishWhenComplete();
    this.#resumeWhenComplete();
    this.#endWhenComplete();
  }

  #resumeWhenComplete(): void {
    const resume = this.#resume;
    if (resume === null || this.#resumed || !this.#bulk.every(({ sets }) => sets >= 1)) return;
    this.#resumed = true;
    this.#checkTotals(resume.totals, this.#bulk);
    this.#tellProgress();
    tell({ type: "pages-complete", atEpochMs: Date.now() });
    for (const { block, runs } of this.#discards) {
      const placed = this.#placed[block]!;
      for (let run = 0; run < runs.length; run += 2) {
        placed.clearRange(runs[run]!, runs[run]! + runs[run + 1]!);
      }
      write(composeDiscards(this.#blocks[block]!.name, runs));
    }
    // Before any page can come that is sent for it.
    Atomics.store(this.#listening, 0, 1);
    write(composePackage(resume.deviceState));
    for (const { worker } of this.#bulk) worker.postMessage("yield");
  }

  #endWhenComplete(): void {
    const end = this.#remainder;
    if (end === null || this.#finished || !this.#connections.every(({ sets }) => sets >= 2)) return;
    this.#finished = true;
    this.#checkTotals(end.totals, this.#connections);
    this.#tellProgress();
    write(composeRemainderEnd(this.#sectionId));
  }

  /** The pages' ends come on the bulk connections, the device state on the control connection, in any order. */
  #finishWhenComplete(): void {
    const finish = this.#finish;
    if (finish === null || this.#finished || !this.#bulk.every(({ sets }) => sets >= 1)) return;
    this.#finished = true;
    this.#checkTotals(finish.totals, this.#bulk);
    this.#tellProgress();
    tell({ type: "pages-complete", atEpochMs: Date.now() });
    if (this.#postcopy) {
      // Advised of post-copy and told to forget a page, QEMU knows no other end than post-copy's.
      Atomics.store(this.#listening, 0, 1);
      write(composePackage(finish.deviceState));
      return;
    }
    write(composeTail(this.#sectionId, finish.deviceState));
    tell({ type: "written" });
  }

  /**
   * QEMU has loaded the devices. Where nothing is owed its post-copy ends at once, and not sooner: once QEMU has seen
   * the end it reads no answer to what the devices ask for.
   */
  #loaded(): void {
    if (this.#finish === null) {
      tell({ type: "loaded" });
      return;
    }
    write(composeRemainderEnd(this.#sectionId));
    tell({ type: "written" });
  }

  #checkTotals(sent: readonly ConnectionTotals[], connections: readonly Connection[]): void {
    const arrived = connections.map(({ totals }) => totals);
    const same =
      sent.length === arrived.length &&
      sent.every(
        (totals, index) =>
          totals.batches === arrived[index]!.batches &&
          totals.pages === arrived[index]!.pages &&
          totals.zeroPages === arrived[index]!.zeroPages,
      );
    if (same) return;
    throw new GodwitError(
      "GODWIT_PAGES_MISSING",
      `the source sent ${JSON.stringify(sent)}, arrived have ${JSON.stringify(arrived)}`,
      { side: "destination", advice: "start the migration again; if it comes back, report it" },
    );
  }

  #tellProgress(): void {
    const usage = process.cpuUsage();
    tell({
      type: "progress",
      counters: {
        placedPages: this.#connections.reduce((sum, { totals }) => sum + totals.pages, 0),
        placedZeroPages: this.#connections.reduce((sum, { totals }) => sum + totals.zeroPages, 0),
        receivedBytes: this.#connections.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0),
        cpuSeconds: (usage.user + usage.system) / 1e6,
      },
    });
  }
}

function write(bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(QEMU_SOCKET, bytes, written, bytes.length - written);
  }
}

function tell(notice: DestinationNotice): void {
  process.send!(notice);
}

function fail(error: ErrorRecord): void {
  tell({ type: "failed", error });
}

keepCompiled();
let running: DestinationProcess | null = null;
process.on("message", (message) => {
  const command = message as DestinationCommand;
  try {
    if (command.type === "warm-up") running = new DestinationProcess(command.connections, command.postcopy);
    else if (command.type === "start") running!.start(command);
    else if (command.type === "discards") running!.discard(command);
    else if (command.type === "resume") running!.resume(command);
    else if (command.type === "end-remainder") running!.endRemainder(command);
    else running!.finish(command);
  } catch (thrown) {
    fail(asGodwitError(thrown, "GODWIT_DATA_PROCESS", { side: "destination" }).toJSON());
  }
});
// Threads may sit in a write to QEMU's socket, where nothing gentler reaches them; there is nothing here to save.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("SIGINT", () => {});
