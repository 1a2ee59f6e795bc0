import { asGodwitError, GodwitError, type GodwitErrorDetails } from "../base/errors.ts";
import { type MemorySource, ramBlocksOf, untouchedMemory } from "../qemu/memory-layout.ts";
import { QmpCommandError } from "../qemu/qmp-errors.ts";
import type { RamBlockListing } from "../qemu/ram-blocks.ts";
import type { RunningMachine } from "../qemu/running-machine.ts";
import { formatVersion } from "../qemu/version.ts";
import type { MessageByType } from "../wire/index.ts";
import { DestinationData } from "./destination/data.ts";
import type { DestinationOptions, DestinationResult } from "./destination/options.ts";
import { QemuReceiver } from "./destination/qemu-receiver.ts";
import { ownBlocks, sameHostPages } from "./destination/ram-blocks.ts";
import { rebuildOpaque } from "./destination/rebuild-opaque.ts";
import { EventLog } from "./event-log.ts";
import type { MigrationEvent } from "./events.ts";
import { Journal, type JournalState } from "./journal.ts";
import { learnedFrom, writeLearnedPages } from "./learned-pages.ts";
import type { RebuildDevices } from "./opaque-devices.ts";
import { PhaseMachine } from "./phases.ts";
import { migrationSettingsSchema } from "./settings.ts";
import { strategies } from "./strategies/index.ts";

export type { DestinationOptions, DestinationResult } from "./destination/options.ts";

/** The source sends its head when QEMU has set up its dirty log: minutes for the largest guests under TCG. */
const HEAD_TIMEOUT_MS = 180_000;

/** The source only has to end a stopped QEMU. */
const RELEASE_TIMEOUT_MS = 60_000;

/** Device state beyond this is refused; the stream reader of the source takes no more either. */
const DEVICE_STATE_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * One incoming migration, from the offer to a guest that runs here or to nothing. Before `commit` every failure ends
 * with our QEMU gone; from the journal's `committed` on the guest is ours.
 */
export class DestinationMigration {
  readonly #options: DestinationOptions;
  readonly #log: EventLog;
  readonly #phases: PhaseMachine;
  readonly #fatal = new AbortController();
  #journal: Journal | null = null;
  #machine: RunningMachine | null = null;
  #rebuilder: RebuildDevices | null = null;
  #data: DestinationData | null = null;
  #lacksPages = false;
  /** RAM blocks that are written from outside. */
  #memory: readonly MemorySource[] = [];
  #blockPages: readonly number[] = [];
  #ownBlocks: readonly RamBlockListing[] = [];
  #postcopy = false;
  readonly #discardedTo = new Map<number, number>();
  /** `asked`: the source waits for our answer. `unknown`: QEMU was told to continue and did not answer. */
  #commit: "open" | "asked" | "unknown" | "done" = "open";

  constructor(options: DestinationOptions) {
    this.#options = options;
    this.#log = new EventLog(options.folder, options.offer.migrationId);
    this.#phases = new PhaseMachine((phase, reason) => this.#log.phase(phase, reason));
    this.#log.phase("preflight", undefined);
  }

  /** Calls back on every event from now on. @returns ends that */
  onEvent(listener: (event: MigrationEvent) => void): () => void {
    return this.#log.onEvent(listener);
  }

  /** Takes the guest. Never rejects for a failure of the migration. */
  async run(): Promise<DestinationResult> {
    const { channel } = this.#options;
    void channel.aborted.then((error) => this.#fail(error));
    void channel.closed.then((end) => this.#fail(end.error));
    try {
      const receiver = await this.#accept();
      await this.#receive(receiver);
      return await this.#takeOver(receiver);
    } catch (thrown) {
      return await this.#abandon(thrown);
    } finally {
      await this.#data?.kill();
      await this.#rebuilder?.close();
      this.#journal?.close();
      this.#log.close();
      await channel.close();
    }
  }

  /** Gives the migration up, if it can still be: before the commit. */
  cancel(reason: string): void {
    this.#fail(new GodwitError("GODWIT_CANCELLED", reason));
  }

  async #accept(): Promise<QemuReceiver> {
    const { options, signal } = this.#parts();
    const { offer } = options;
    this.#journal = Journal.create(
      options.folder,
      {
        migrationId: offer.migrationId,
        role: "destination",
        vm: offer.vmName,
        machineFolder: options.machineFolder,
        peer: { name: offer.sourceName },
        guestPaused: offer.guestPaused,
      },
      "accepted",
    );
    this.#phases.enter("setup");
    const settings = migrationSettingsSchema.parse(offer.settings);
    if (settings.metal !== undefined && options.rebuild === undefined) {
      throw new GodwitError("GODWIT_METAL_MACHINE", "this host doesn't rebuild devices");
    }
    const machine = await options.startMachine(signal);
    this.#machine = machine;
    if (settings.metal !== undefined) this.#rebuilder = options.rebuild!(machine);
    machine.qmp.on("close", (cause) => {
      this.#fail(
        new GodwitError("GODWIT_QEMU_GONE", `QEMU of "${machine.name}" ended at the destination`, {
          side: "destination",
          advice: `see its log ${machine.logPath}`,
          cause,
        }),
      );
    });
    if (machine.machineType !== offer.machineType) {
      throw new GodwitError(
        "GODWIT_MACHINE_TYPE",
        `the machine is a ${machine.machineType} here and a ${offer.machineType} at the source`,
        {
          advice: `name the type in the machine file (machine: ${offer.machineType}) where both QEMUs have it`,
        },
      );
    }
    const receiver = new QemuReceiver(machine);
    const { bulkConnections, strategy, contents } = settings;
    this.#ownBlocks = await ramBlocksOf(machine, { signal });
    const wantsPostcopy =
      strategies[strategy].postcopy &&
      contents !== "stream" &&
      !offer.guestPaused &&
      sameHostPages(offer.memoryBlocks, this.#ownBlocks);
    const socket = await receiver.open(wantsPostcopy, signal);
    const postcopy = receiver.takesPostcopy;
    this.#postcopy = postcopy;
    // With post-copy QEMU keeps count of its pages, and must see each.
    if (!postcopy && contents !== "stream") this.#memory = await untouchedMemory(machine, { signal });
    this.#data = new DestinationData(socket, bulkConnections, postcopy, (error) => this.#fail(error));
    await options.channel.send({
      type: "accepted",
      migrationId: offer.migrationId,
      qemuVersion: formatVersion(machine.version),
      destinationName: options.hostName,
      postcopy,
    });
    return receiver;
  }

  async #receive(receiver: QemuReceiver): Promise<void> {
    const { options, signal, migrationId } = this.#parts();
    const { channel } = options;
    const head = await channel.receive("stream-head", { signal, timeoutMs: HEAD_TIMEOUT_MS });
    const bulk = await channel.receive("bulk-offer", { signal, timeoutMs: HEAD_TIMEOUT_MS });
    const data = this.#data!;
    this.#blockPages = head.blocks.map(({ usedBytes }) => Math.ceil(usedBytes / 4096));
    data.send({
      type: "start",
      credentials: options.credentials,
      host: options.sourceHost,
      ports: bulk.ports,
      peerName: options.offer.sourceName,
      tokenHex: bulk.tokenHex,
      configuration: head.payload,
      sectionId: head.ramSectionId,
      blocks: ownBlocks(head.blocks, this.#ownBlocks),
      memory: this.#memory,
    });
    await data.connected(signal);
    await channel.send({ type: "bulk-connected", migrationId });
    this.#phases.enter("live");

    const { deviceState, totals, lacksPages, opaque } = await this.#receiveEnd();
    this.#lacksPages = lacksPages;
    data.send({ type: lacksPages ? "resume" : "finish", totals, deviceState });
    const pagesCompleteAtEpochMs = await data.pagesComplete(signal);
    if (lacksPages) await receiver.prepared(data.loaded(signal), signal);
    else {
      await data.written(signal);
      await receiver.loaded(signal);
    }
    const rebuildMs = await rebuildOpaque(this.#rebuilder, opaque);
    const loadedAtEpochMs = Date.now();
    await channel.send({ type: "prepared", migrationId, pagesCompleteAtEpochMs, loadedAtEpochMs, rebuildMs });
    this.#journal!.append("prepared");
  }

  /** Everything that the source says between the first page and the end of its stream. */
  async #receiveEnd(): Promise<{
    deviceState: Buffer;
    totals: MessageByType<"pages-complete">["connections"];
    /** The guest resumes before all of its pages are there. */
    lacksPages: boolean;
    /** What was read out of devices that are not in the device state. */
    opaque: Uint8Array | null;
  }> {
    const { options, signal } = this.#parts();
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    let complete = false;
    let totals: MessageByType<"pages-complete">["connections"] | null = null;
    let lacksPages = false;
    let opaque: Uint8Array | null = null;
    while (!complete || totals === null) {
      const message = await options.channel.receive(
        [
          ...(["source-stopped", "opaque-devices", "device-state"] as const),
          ...(["pages-complete", "discards", "resume-set-complete"] as const),
        ],
        { signal },
      );
      if (message.type === "source-stopped") this.#phases.enter("switchover");
      else if (message.type === "pages-complete") totals = message.connections;
      else if (message.type === "opaque-devices") opaque = message.payload;
      else if (message.type === "discards") this.#discard(message);
      else if (message.type === "resume-set-complete") {
        totals = message.connections;
        lacksPages = true;
      } else {
        bytes += message.payload.length;
        if (complete || message.index !== chunks.length || bytes > DEVICE_STATE_LIMIT_BYTES) {
          throw new GodwitError(
            "GODWIT_WIRE_INVALID",
            `chunk ${message.index} of the device state is out of place`,
          );
        }
        chunks.push(message.payload);
        complete = message.last;
      }
    }
    if (this.#phases.current === "live") this.#phases.enter("switchover");
    return { deviceState: Buffer.concat(chunks), totals, lacksPages, opaque };
  }

  /** Stale pages: checked here, since QEMU would take any range. */
  #discard({ block, payload }: MessageByType<"discards">): void {
    const pages = this.#blockPages[block];
    const runs = new Uint32Array(Uint8Array.from(payload).buffer, 0, payload.length >> 2);
    // Ascending over all messages of a block, so that a list is never longer than the block.
    let end = this.#discardedTo.get(block) ?? 0;
    let valid = this.#postcopy && pages !== undefined && payload.length > 0 && payload.length % 8 === 0;
    for (let run = 0; valid && run < runs.length; run += 2) {
      valid = runs[run]! >= end && runs[run + 1]! > 0;
      end = runs[run]! + runs[run + 1]!;
    }
    if (!valid || end > (pages ?? 0)) {
      throw new GodwitError(
        "GODWIT_WIRE_INVALID",
        `discards of RAM block ${block} lie outside it or overlap`,
      );
    }
    this.#discardedTo.set(block, end);
    this.#data!.send({ type: "discards", block, runs });
  }

  async #takeOver(receiver: QemuReceiver): Promise<DestinationResult> {
    const { options, signal, migrationId } = this.#parts();
    const { channel, offer } = options;
    await channel.receive("commit", { signal });
    this.#commit = "asked";
    this.#journal!.append("committed");
    let resumedAtEpochMs: number;
    try {
      resumedAtEpochMs = offer.guestPaused ? Date.now() : await receiver.resume();
    } catch (thrown) {
      // Only QEMU's own refusal proves that the guest has not run here, not even for a moment.
      if (!(thrown instanceof QmpCommandError)) this.#commit = "unknown";
      throw asGodwitError(thrown, "GODWIT_COMMIT_REFUSED", this.#where());
    }
    this.#commit = "done";
    this.#note("running", JSON.stringify({ resumedAtEpochMs }));
    const figures = () => this.#data!.counters;
    if (this.#lacksPages) {
      this.#phases.enter("remainder");
      try {
        await this.#remainder(resumedAtEpochMs);
      } catch (thrown) {
        return this.#pause(thrown);
      }
    }
    this.#phases.enter("completed");
    try {
      const { cpuSeconds } = figures();
      if (!this.#lacksPages)
        await channel.send({ type: "running", migrationId, resumedAtEpochMs, cpuSeconds });
      const wait = { timeoutMs: RELEASE_TIMEOUT_MS };
      const next = await channel.receive(["learned-pages", "release"], wait);
      if (next.type === "learned-pages") {
        this.#learn(learnedFrom(next.payload));
        await channel.receive("release", wait);
      }
      this.#note("released");
      await options.arrived?.(this.#machine!);
      const { cpuSeconds: allCpuSeconds, receivedBytes } = figures();
      await channel.send({ type: "released", migrationId, cpuSeconds: allCpuSeconds, receivedBytes });
    } catch (thrown) {
      // The guest is ours and runs; the source asks again if it needs to know.
      const { message } = asGodwitError(thrown, "GODWIT_LINK_LOST");
      this.#log.append({ type: "decision", what: "end without the source's release", reason: message });
    }
    return { outcome: "running", machine: this.#machine, error: null };
  }

  /** The guest runs here; what it lacks comes by request and by push. */
  async #remainder(resumedAtEpochMs: number): Promise<void> {
    const { options, signal, migrationId } = this.#parts();
    const { channel } = options;
    const data = this.#data!;
    await channel.send({
      type: "running",
      migrationId,
      resumedAtEpochMs,
      cpuSeconds: data.counters.cpuSeconds,
    });
    const { connections } = await channel.receive("pages-complete", { signal });
    data.send({ type: "end-remainder", totals: connections });
    const figures = await data.remainderComplete(signal);
    const latencyCounts = [...figures.latencyCounts];
    await channel.send({ type: "remainder-complete", migrationId, ...figures, latencyCounts });
  }

  /** Without it the next move has more faults, and nothing worse. */
  #learn(learned: Uint32Array): void {
    try {
      writeLearnedPages(this.#machine!.folder, learned);
    } catch (thrown) {
      const { message } = asGodwitError(thrown, "GODWIT_LEARNED_PAGES");
      this.#log.append({ type: "decision", what: "forget what the guest asks for first", reason: message });
    }
  }

  /** The guest is ours and waits for pages that only the source has: nothing may be ended. */
  #pause(thrown: unknown): DestinationResult {
    const reason = this.#fatal.signal.aborted ? this.#fatal.signal.reason : thrown;
    const error = asGodwitError(reason, "GODWIT_LINK_LOST", this.#where()).now(
      this.#machine?.runs === true
        ? {
            vmState: "waits here for pages that only the source's stopped QEMU has",
            advice: "keep both QEMUs: ending either loses the guest",
          }
        : {
            vmState: "gone: its QEMU here ended while pages were missing",
            advice: "see that QEMU's log; start the guest from its disks, the source's memory is of before",
          },
    );
    this.#log.append({ type: "error", error: error.toJSON() });
    this.#phases.enter("paused", error.message);
    return { outcome: "running", machine: this.#machine, error };
  }

  async #abandon(thrown: unknown): Promise<DestinationResult> {
    const { options, migrationId } = this.#parts();
    const reason = this.#commit === "open" && this.#fatal.signal.aborted ? this.#fatal.signal.reason : thrown;
    const unknown = this.#commit === "unknown";
    const error = asGodwitError(reason, "GODWIT_MIGRATION", {
      ...this.#where(),
      vmState: unknown
        ? "in doubt at the destination, stopped at the source"
        : "not running at the destination",
      ...(unknown
        ? { advice: "look at QEMU's log here and at the disks before continuing either copy" }
        : {}),
    });
    await this.#data?.kill();
    if (!unknown) {
      await this.#machine?.kill();
      // Only with our QEMU gone may the other side be told that it can go on.
      this.#note("abandoned", error.message);
    }
    const say =
      this.#commit === "asked"
        ? options.channel.send({ type: "commit-refused", migrationId, error: error.toJSON() })
        : this.#machine === null
          ? options.channel.send({ type: "refused", migrationId, error: error.toJSON() })
          : options.channel.abort(error.toJSON());
    await say.catch(() => {});
    this.#log.append({ type: "error", error: error.toJSON() });
    if (this.#phases.current !== "failed") this.#phases.enter("failed", error.message);
    const machine = unknown && this.#machine?.runs === true ? this.#machine : null;
    return { outcome: machine === null ? "abandoned" : "running", machine, error };
  }

  /** Notes what is done already: a full disk can't undo it, and must not end a guest that runs. */
  #note(state: JournalState, note?: string): void {
    try {
      this.#journal?.append(state, note);
    } catch (thrown) {
      const { message } = asGodwitError(thrown, "GODWIT_JOURNAL_UNREADABLE");
      process.emitWarning(`the journal does not take "${state}": ${message}`);
    }
  }

  #fail(error: GodwitError): void {
    if (!this.#fatal.signal.aborted) this.#fatal.abort(error);
  }

  #where(): GodwitErrorDetails {
    return { side: "destination", phase: this.#phases.current };
  }

  #parts() {
    return {
      options: this.#options,
      signal: this.#fatal.signal,
      migrationId: this.#options.offer.migrationId,
    };
  }
}
