import { writeSync } from "node:fs";
import type { Worker } from "node:worker_threads";
import { asGodwitError, type ErrorRecord, GodwitError } from "../../base/errors.ts";
import { composeHead, composeTail } from "./composed-stream.ts";
import type { DestinationCommand, DestinationNotice } from "./destination-protocol.ts";
import type { DialOrder, ReceiverInput, ReceiverNotice } from "./receiver-thread.ts";
import type { ConnectionTotals } from "./source-protocol.ts";
import { startThread } from "./threads.ts";
import { WriteLock } from "./write-lock.ts";

type Start = Extract<DestinationCommand, { type: "start" }>;
type Finish = Extract<DestinationCommand, { type: "finish" }>;

/** QEMU's migration socket: our standard input, and so in blocking mode. */
const QEMU_SOCKET = 0;

interface Connection {
  readonly worker: Worker;
  totals: ConnectionTotals;
  receivedBytes: number;
  complete: boolean;
}

/** The data process of a migration's destination: receiver threads in, one composed stream into QEMU out. */
class DestinationProcess {
  readonly #lock = new WriteLock();
  readonly #connections: Connection[];
  #sectionId = 0;
  #connected = 0;
  #finish: Finish | null = null;
  #finished = false;

  constructor(connections: number) {
    const input: ReceiverInput = { lock: this.#lock.buffer };
    this.#connections = Array.from({ length: connections }, (_, index) => ({
      worker: startThread<ReceiverNotice>("./receiver-thread.ts", input, (notice) =>
        this.#says(index, notice),
      ),
      totals: { batches: 0, pages: 0, zeroPages: 0 },
      receivedBytes: 0,
      complete: false,
    }));
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
    write(composeHead(configuration, sectionId, blocks));
    const { credentials, host, peerName } = start;
    const token = Buffer.from(start.tokenHex, "hex");
    this.#connections.forEach(({ worker }, index) => {
      const order: DialOrder = { credentials, host, port: ports[index]!, peerName, token, sectionId, blocks };
      worker.postMessage(order);
    });
  }

  finish(finish: Finish): void {
    this.#finish = finish;
    this.#finishWhenComplete();
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
    const connection = this.#connections[index]!;
    connection.totals = notice.totals;
    connection.receivedBytes = notice.receivedBytes;
    if (notice.type === "set-complete") {
      connection.complete = true;
      this.#finishWhenComplete();
    } else this.#tellProgress();
  }

  /** The pages' ends come on the bulk connections, the device state on the control connection, in any order. */
  #finishWhenComplete(): void {
    const finish = this.#finish;
    if (finish === null || this.#finished || !this.#connections.every(({ complete }) => complete)) return;
    this.#finished = true;
    this.#checkTotals(finish.totals);
    this.#tellProgress();
    tell({ type: "pages-complete", atEpochMs: Date.now() });
    write(composeTail(this.#sectionId, finish.deviceState));
    tell({ type: "written" });
  }

  #checkTotals(sent: readonly ConnectionTotals[]): void {
    const arrived = this.#connections.map(({ totals }) => totals);
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

let running: DestinationProcess | null = null;
process.on("message", (message) => {
  const command = message as DestinationCommand;
  try {
    if (command.type === "warm-up") running = new DestinationProcess(command.connections);
    else if (command.type === "start") running!.start(command);
    else running!.finish(command);
  } catch (thrown) {
    fail(asGodwitError(thrown, "GODWIT_DATA_PROCESS", { side: "destination" }).toJSON());
  }
});
// Threads may sit in a write to QEMU's socket, where nothing gentler reaches them; there is nothing here to save.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("SIGINT", () => {});
