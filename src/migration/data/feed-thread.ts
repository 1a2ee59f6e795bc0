import { readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { keepCompiled } from "../../base/compile-cache.ts";
import { asGodwitError, type ErrorRecord, GodwitError } from "../../base/errors.ts";
// From the files themselves: the room's door brings much along, which costs each start 0.1 s and more.
import { cutDeviceSections } from "../../stream/cut-sections.ts";
import type { RamBlock, RamSectionKind, StreamHandler } from "../../stream/handler.ts";
import { StreamReader } from "../../stream/reader.ts";
import { Ledger, type SharedLedger } from "../ledger.ts";
import { AcknowledgedHold } from "./acknowledged-hold.ts";
import { type CollectedBatch, ContentCollector } from "./content-collector.ts";
import { ContentRing } from "./content-ring.ts";
import { EarlyDeviceState } from "./early-device-state.ts";
import { allowedBytes, FeedGate, READ_BYTES } from "./feed-gate.ts";
import { answerQemu, QEMU_SOCKET } from "./qemu-answers.ts";
import type { HeadBlock } from "./source-protocol.ts";

/** What the feed thread is started with. */
export interface FeedInput {
  readonly gate: SharedArrayBuffer;
  readonly ring: SharedArrayBuffer;
  readonly ringSlots: number;
  readonly connections: number;
  /** QEMU has a return path open and stops only when told: see {@link AcknowledgedHold}. */
  readonly acknowledged: boolean;
  /** Names of the RAM blocks whose contents are read from outside. */
  readonly readable: readonly string[];
  /** Names of device sections that stay behind. */
  readonly cut: readonly string[];
  /** Bytes of a host page, by the RAM block's name; 4096 where absent. */
  readonly hostPageBytes: Readonly<Record<string, number>>;
}

/** What the feed thread tells the data process. */
export type FeedNotice =
  | {
      readonly type: "head";
      readonly configuration: Uint8Array;
      readonly sectionId: number;
      readonly blocks: readonly HeadBlock[];
      readonly totalBytes: number;
      readonly ledger: SharedLedger;
    }
  | { readonly type: "collected"; readonly batch: CollectedBatch }
  /** Every page that the destination must have is listed: the guest stands, and QEMU has ended its RAM section. */
  | { readonly type: "listed" }
  /** Not checked yet, which is over at `ended`. */
  | { readonly type: "device-state"; readonly bytes: Uint8Array; readonly atEpochMs: number }
  /** The stream was whole. */
  | { readonly type: "ended" }
  | { readonly type: "failed"; readonly error: ErrorRecord };

const input = workerData as FeedInput;

/** Between two readings of a guest that writes little: far less than the strategy's own interval of 100 ms. */
const REST_MS = 10;

/** Reads QEMU's outgoing stream and turns it into the ledger's bits. */
class Feed implements StreamHandler {
  readonly #gate = new FeedGate(input.gate);
  #ledger: Ledger | null = null;
  #collector: ContentCollector | null = null;
  #fromStream: boolean[] = [];
  #configuration: Uint8Array = new Uint8Array();
  #uncut: Uint8Array = new Uint8Array();
  readonly #deviceState = new EarlyDeviceState((bytes) => {
    // Not slice(): that of a Buffer is a view of memory which is not its own.
    const own = new Uint8Array(bytes);
    tell({ type: "device-state", bytes: own, atEpochMs: Date.now() }, own.buffer);
  });

  run(): void {
    const readable = new Set(input.readable);
    const reader = new StreamReader(this, { wantsContent: (block) => !readable.has(block.name) });
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const hold = input.acknowledged ? new AcknowledgedHold() : null;
    if (hold === null) this.#gate.setLookedAgain();
    const rule = hold === null ? allowedBytes : hold.allowedBytes.bind(hold);
    for (;;) {
      const allowed = this.#gate.waitForAllowance(this.#ledger, rule);
      const bytes = readSync(QEMU_SOCKET, buffer, 0, allowed, null);
      if (bytes === 0) break;
      reader.push(buffer.subarray(0, bytes));
      hold?.didRead(this.#ledger);
      if (hold?.hasLookedAgain) this.#gate.setLookedAgain();
      this.#gate.listed();
      if (hold?.mayRest) this.#gate.rest(REST_MS);
    }
    reader.end();
    if (this.#uncut.length > 0) {
      throw new GodwitError("GODWIT_STREAM_BAD_DESCRIPTION", "QEMU does not describe its device sections", {
        advice: "without suppress-vmdesc it does; rebuilt devices can't be cut out otherwise",
      });
    }
    tell({ type: "ended" });
  }

  configuration(record: Uint8Array): void {
    this.#configuration = record.slice();
  }

  ramStart(sectionId: number, blocks: readonly RamBlock[], totalBytes: number): void {
    const layout = blocks.map(({ name, usedBytes }) => ({
      name,
      pages: Math.ceil(usedBytes / 4096),
      hostPages: (input.hostPageBytes[name] ?? 4096) / 4096,
    }));
    const ledger = Ledger.create(layout);
    this.#ledger = ledger;
    this.#fromStream = blocks.map(({ name }) => !input.readable.includes(name));
    const ring = new ContentRing(input.ringSlots, input.ring);
    this.#collector = new ContentCollector(ledger, ring, input.connections, (batch) =>
      tell({ type: "collected", batch }),
    );
    tell({
      type: "head",
      configuration: this.#configuration,
      sectionId,
      blocks: blocks.map(({ name, usedBytes, pageSizeBytes }) => ({ name, usedBytes, pageSizeBytes })),
      totalBytes,
      ledger: ledger.share(),
    });
  }

  page(block: number, page: number, content: Uint8Array, offset: number): void {
    if (this.#fromStream[block]!) this.#collector!.page(block, page, content, offset);
    else this.#ledger!.list(block, page);
  }

  zeroPage(block: number, page: number, fill: number): void {
    if (this.#fromStream[block]!) this.#collector!.filled(block, page, fill);
    else if (fill === 0) this.#ledger!.listZero(block, page);
    else this.#ledger!.list(block, page);
  }

  ramSectionEnd(kind: RamSectionKind): void {
    this.#collector?.flush();
    if (kind === "end") tell({ type: "listed" });
  }

  deviceStateUnchecked(bytes: Uint8Array): void {
    if (input.cut.length === 0) this.#deviceState.unchecked(bytes);
  }

  deviceState(bytes: Uint8Array): void {
    if (input.cut.length > 0) this.#uncut = bytes;
    else this.#deviceState.checked(bytes);
    if (input.acknowledged) answerQemu({ type: "shut", status: 0 });
  }

  /** Comes right behind the device state, and only it tells where a section begins. */
  description(json: Uint8Array): void {
    if (input.cut.length === 0) return;
    const { kept } = cutDeviceSections(this.#uncut, json, new Set(input.cut));
    this.#uncut = new Uint8Array();
    this.#deviceState.checked(kept);
  }
}

function tell(notice: FeedNotice, ...given: ArrayBuffer[]): void {
  parentPort!.postMessage(notice, given);
}

keepCompiled();
// Taking a thread down holds up the whole process, and it is over when the guest stands still.
parentPort!.ref();
try {
  new Feed().run();
} catch (thrown) {
  tell({ type: "failed", error: asGodwitError(thrown, "GODWIT_FEED", { side: "source" }).toJSON() });
}
