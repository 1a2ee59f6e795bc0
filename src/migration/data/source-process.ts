import { setTimeout as delay } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { keepCompiled } from "../../base/compile-cache.ts";
import { asGodwitError, type ErrorRecord } from "../../base/errors.ts";
import { Pacer } from "../../wire/bulk/pacer.ts";
import { Ledger } from "../ledger.ts";
import { Push } from "../push.ts";
import { BATCH_PAGES, LATE_BATCH_PAGES, Scheduler } from "../scheduler.ts";
import type { CollectedBatch } from "./content-collector.ts";
import { ContentRing } from "./content-ring.ts";
import type { FaultInput, FaultNotice, FaultTask } from "./fault-thread.ts";
import { FeedGate, GATE_OPEN } from "./feed-gate.ts";
import type { FeedInput, FeedNotice } from "./feed-thread.ts";
import type { HintsInput } from "./free-page-looks.ts";
import { GuestHints } from "./guest-hints.ts";
import { oweZeroPages } from "./kernel-pages.ts";
import { answerQemu } from "./qemu-answers.ts";
import { discardsOf, payingSources, type ResumeSet, resumeSetOf } from "./resume-set.ts";
import { SendWindow } from "./send-window.ts";
import type { SenderInput, SenderNotice, SenderTask } from "./sender-thread.ts";
import type {
  ConnectionTotals,
  HeadBlock,
  SourceCommand,
  SourceCounters,
  SourceNotice,
} from "./source-protocol.ts";
import { startThread } from "./threads.ts";
import { inWholeHostPages } from "./whole-resume-set.ts";

type Start = Extract<SourceCommand, { type: "start" }>;

/** Slots for contents that come from the stream: 16 MiB, enough to keep two connections busy. */
const RING_SLOTS = 16;

/** The late rounds begin when so few pages wait, 8 MiB: what is in hand then begins to matter for the pause. */
const LATE_PAGES = 2048;

/** How often the agent is told the counters: it asks its strategy as often. */
const COUNTERS_INTERVAL_MS = 50;

/**
 * Where nearly all that is owed waits for a look, each search for a page to send goes through the whole guest in vain:
 * after every megabyte that QEMU lists of 8 GiB that kept this thread from hearing the guest's answer for seconds.
 */
const STARVING_PAUSE_MS = 50;

/**
 * Which pages are dealt. `all`: whatever is owed. `nothing`: post-copy waits for the guest to stand. `resume-set`:
 * what the guest needs first. `push`: everything, in the order of post-copy.
 */
type Dealing = "all" | "nothing" | "resume-set" | "push";

type BatchTask = Extract<SenderTask, { pages: number }>;

interface Sender {
  readonly worker: Worker;
  readonly window: SendWindow;
  /** Stream contents for this connection that wait for their turn. */
  readonly collected: CollectedBatch[];
  bytesOnWire: number;
  zeroPages: number;
  differencePages: number;
  totals: ConnectionTotals | null;
}

/** The data process of a migration's source: feed thread in, sender threads out, the scheduler between them. */
class SourceProcess {
  readonly #start: Start;
  readonly #gate = new FeedGate();
  readonly #ring = new ContentRing(RING_SLOTS);
  readonly #senders: Sender[] = [];
  readonly #pacer = new Pacer();
  #ledger: Ledger | null = null;
  #scheduler: Scheduler | null = null;
  #listening: number[] = [];
  #connected = 0;
  #feedEnded = false;
  #settledPages = 0;
  #closing = false;
  #dealing: Dealing = "all";
  #set = 0;
  #push: Push | null = null;
  #wantedSet: Extract<SourceCommand, { type: "resume-set" }> | null = null;
  #resumeSet: ResumeSet | null = null;
  #fault: { worker: Worker; bytesOnWire: number; totals: ConnectionTotals | null } | null = null;
  #blocks: readonly HeadBlock[] = [];
  #late = false;
  #stopPermitted = false;
  #starving = false;
  /** Presumably free pages wait for a look. */
  #deferring = false;
  #owesKernelsZeros = false;
  #resumed = false;
  readonly #readable = (block: number) =>
    this.#start.memory.some((source) => source.block === this.#blocks[block]!.name);
  readonly #hints: GuestHints | null;

  constructor(start: Start) {
    this.#start = start;
    this.#hints = start.hints === null ? null : this.#startHints(start.hints);
    this.#gate.setGatePages(start.gatePages);
    this.#pacer.setRate(start.bandwidthBytesPerSecond);
    if (start.gatePages === GATE_OPEN) this.#permitStop();
  }

  run(): void {
    const start = this.#start;
    const feed: FeedInput = {
      gate: this.#gate.buffer,
      ring: this.#ring.buffer,
      ringSlots: this.#ring.slots,
      connections: start.connections,
      acknowledged: start.acknowledged,
      readable: start.memory.map((source) => source.block),
      cut: start.cut,
      hostPageBytes: start.hostPageBytes,
    };
    startThread<FeedNotice>("./feed-thread.ts", feed, (notice) => this.#feedSays(notice));
    for (let connection = 0; connection < start.connections; connection++) this.#startSender(connection);
    if (start.postcopy !== null) this.#startFaultThread(start.postcopy.bubblePages);
    setInterval(() => this.#tellCounters(), COUNTERS_INTERVAL_MS);
    void this.#pumpOnListings();
  }

  command(command: SourceCommand): void {
    if (command.type === "open-gate") {
      this.#gate.setGatePages(GATE_OPEN);
      this.#permitStop();
      // The guest stands still and leaves its processor to compression.
      this.#hurry(false);
    } else if (command.type === "hurry") this.#hurry(command.on && this.#gate.gatePages !== GATE_OPEN);
    else if (command.type === "permit-stop") this.#permitStop();
    else if (command.type === "hold-pages") {
      this.#dealing = "nothing";
      this.#ledger!.watchRecent();
    } else if (command.type === "deal-pages") {
      this.#dealing = "all";
      this.#pump();
    } else if (command.type === "resume-set") {
      this.#wantedSet = command;
      this.#pump();
    } else if (command.type === "push") this.#startPush();
    else if (command.type === "resumed") {
      this.#resumed = true;
      this.#endFaults();
    } else if (command.type === "set-bandwidth") this.#pacer.setRate(command.bytesPerSecond);
  }

  #startHints(hints: HintsInput): GuestHints {
    return new GuestHints(hints, {
      defer: (sets) => {
        this.#scheduler?.defer(sets);
        this.#deferring = sets !== null;
        this.#pumpSoon();
      },
      looked: (look) => {
        tell({ type: "looked", look });
        this.#gate.drained();
        this.#pumpSoon();
      },
      readCloser: () => this.#gate.readCloser(),
      settled: () => tell({ type: "looks-settled" }),
      gaveUp: (error) => tell({ type: "looks-gave-up", error: error.toJSON() }),
    });
  }

  /** What a look changed may be all that there was to wait for. */
  #pumpSoon(): void {
    setImmediate(() => this.#pump());
  }

  #permitStop(): void {
    if (!this.#start.acknowledged || this.#stopPermitted) return;
    this.#stopPermitted = true;
    this.#gate.wake();
    answerQemu({ type: "switchoverAck" });
  }

  #startSender(connection: number): void {
    const start = this.#start;
    const input: SenderInput = {
      connection,
      connections: start.connections,
      credentials: start.credentials,
      peerName: start.peerName,
      listen: start.listen,
      token: Buffer.from(start.tokenHex, "hex"),
      compression: start.compression,
      pacer: this.#pacer.shared,
      memory: start.memory,
      ring: this.#ring.buffer,
      ringSlots: this.#ring.slots,
    };
    const worker = startThread<SenderNotice>("./sender-thread.ts", input, (notice) =>
      this.#senderSays(connection, notice),
    );
    this.#senders.push({
      worker,
      window: new SendWindow(BATCH_PAGES),
      collected: [],
      bytesOnWire: 0,
      zeroPages: 0,
      differencePages: 0,
      totals: null,
    });
  }

  #startFaultThread(bubblePages: number | null): void {
    const { credentials, peerName, listen, tokenHex, memory, compression } = this.#start;
    const token = Buffer.from(tokenHex, "hex");
    const pacer = this.#pacer.shared;
    const input: FaultInput = {
      ...{ credentials, peerName, listen, token, memory, bubblePages, compression, pacer },
    };
    const worker = startThread<FaultNotice>("./fault-thread.ts", input, (notice) => this.#faultSays(notice));
    this.#fault = { worker, bytesOnWire: 0, totals: null };
  }

  #faultSays(notice: FaultNotice): void {
    const fault = this.#fault!;
    if (notice.type === "listening") this.#listens(this.#senders.length, notice.port);
    else if (notice.type === "connected") this.#connects();
    else if (notice.type === "placed") {
      fault.bytesOnWire = notice.bytesOnWire;
      this.#settledPages += notice.pages;
      this.#ledger!.arrived(notice.pages);
      this.#pump();
    } else if (notice.type === "totals") {
      fault.totals = notice.totals;
      fault.bytesOnWire = notice.bytesOnWire;
      this.#remainderComplete(notice.bubblePages, notice.learned);
    } else fail(notice.error);
  }

  #startPush(): void {
    this.#hints?.end();
    this.#dealing = "push";
    this.#push = new Push(this.#ledger!);
    // What is under way on the link stands before an answer to a fault, so it must be little.
    if (!this.#late) this.#enterLateRounds();
    for (const { worker } of this.#senders) worker.postMessage({ type: "yield" } satisfies SenderTask);
    this.#pump();
  }

  /** The guest stands and everything is listed: what goes before it may resume. */
  #chooseResumeSet({ learned, sources }: Extract<SourceCommand, { type: "resume-set" }>): void {
    this.#hints?.end();
    const { workingSet = null, kernelPages: kernel = null } = this.#hints ?? {};
    const set = resumeSetOf(
      this.#ledger!,
      { learned, kernel, workingSet },
      this.#readable,
      sources ?? payingSources(kernel),
    );
    this.#resumeSet = inWholeHostPages(this.#ledger!, set);
    this.#scheduler!.restrictTo(this.#resumeSet.bitmaps);
    this.#dealing = "resume-set";
  }

  #feedSays(notice: FeedNotice): void {
    if (notice.type === "head") {
      this.#ledger = Ledger.attach(notice.ledger);
      this.#scheduler = new Scheduler(this.#ledger, this.#start.connections, this.#start.order);
      this.#hints?.attach(this.#ledger);
      const { configuration, sectionId, blocks, totalBytes } = notice;
      this.#blocks = blocks;
      for (const sender of this.#senders) {
        const task: SenderTask = { type: "blocks", blocks };
        sender.worker.postMessage(task);
      }
      tell({ type: "head", configuration, sectionId, blocks, totalBytes });
    } else if (notice.type === "collected") {
      this.#senders[notice.batch.connection]!.collected.push(notice.batch);
      this.#pump();
    } else if (notice.type === "device-state") {
      tell({ type: "device-state", bytes: notice.bytes, atEpochMs: notice.atEpochMs });
    } else if (notice.type === "ended") {
      this.#feedEnded = true;
      this.#hints?.end();
      this.#pump();
    } else fail(notice.error);
  }

  #senderSays(connection: number, notice: SenderNotice | { type: "failed"; error: ErrorRecord }): void {
    const sender = this.#senders[connection]!;
    if (notice.type === "listening") {
      this.#listens(connection, notice.port);
    } else if (notice.type === "connected") this.#connects();
    else if (notice.type === "placed") {
      sender.window.placed(notice.batches, performance.now());
      sender.bytesOnWire = notice.bytesOnWire;
      sender.zeroPages = notice.zeroPages;
      sender.differencePages = notice.differencePages;
      this.#settledPages += notice.pages;
      this.#ledger!.arrived(notice.pages);
      this.#gate.drained();
      this.#pump();
    } else if (notice.type === "totals") {
      sender.totals = notice.totals;
      sender.bytesOnWire = notice.bytesOnWire;
      if (this.#senders.every(({ totals }) => totals !== null)) this.#setComplete();
    } else fail(notice.error);
  }

  get #connections(): number {
    return this.#senders.length + (this.#fault === null ? 0 : 1);
  }

  #listens(connection: number, port: number): void {
    this.#listening[connection] = port;
    if (this.#listening.filter((known) => known !== undefined).length < this.#connections) return;
    tell({ type: "listening", ports: this.#listening });
  }

  #connects(): void {
    this.#connected += 1;
    if (this.#connected === this.#connections) tell({ type: "connected" });
    this.#pump();
  }

  /** Every bulk connection has told its totals up to the end of a set. */
  #setComplete(): void {
    this.#tellCounters();
    if (this.#set === 1) {
      this.#endFaults();
      return;
    }
    const totals = this.#senders.map((sender) => sender.totals!);
    if (this.#dealing === "all") {
      tell({ type: "pages-complete", totals });
      return;
    }
    const discards = discardsOf(this.#ledger!);
    const owedPages = this.#ledger!.owedPages();
    const { pages: resumeSetPages, bySource } = this.#resumeSet!;
    tell({ type: "resume-set-complete", totals, discards, owedPages, resumeSetPages, bySource });
    // The destination doesn't wait for what only the report wants.
    this.#hints?.resumed(this.#ledger!);
    for (const sender of this.#senders) sender.totals = null;
    this.#set = 1;
    this.#closing = false;
    this.#dealing = "nothing";
  }

  /** Once all else has left and nobody waits for a zero page in order to run. */
  #endFaults(): void {
    if (!this.#resumed || this.#set === 0 || this.#senders.some(({ totals }) => totals === null)) return;
    this.#tellFault({ type: "end-of-set", set: 1 });
  }

  #remainderComplete(bubblePages: number, learned: readonly number[]): void {
    this.#tellCounters();
    const totals = [...this.#senders.map((sender) => sender.totals!), this.#fault!.totals!];
    const workingSet = this.#hints?.workingSetReport(this.#ledger!) ?? null;
    tell({ type: "remainder-complete", totals, bubblePages, learned, workingSet });
  }

  #tellFault(task: FaultTask): void {
    this.#fault?.worker.postMessage(task);
  }

  async #pumpOnListings(): Promise<void> {
    for (let seen = 0; !this.#feedEnded; ) {
      seen = await this.#gate.nextListing(seen);
      this.#pump();
      if (this.#starving && this.#deferring) await delay(STARVING_PAUSE_MS);
    }
  }

  #pump(): void {
    const scheduler = this.#scheduler;
    if (scheduler === null || this.#connected < this.#connections || this.#closing) return;
    if (this.#feedEnded && this.#dealing === "nothing" && this.#set === 0 && this.#wantedSet !== null) {
      this.#chooseResumeSet(this.#wantedSet);
    }
    this.#starving = false;
    for (let connection = 0; connection < this.#senders.length; connection++) {
      const sender = this.#senders[connection]!;
      while (sender.window.isOpen) {
        const task = this.#nextTask(scheduler, connection, sender);
        this.#starving ||= task === null;
        if (task === null) break;
        sender.window.dealt(task.pages, performance.now());
        sender.worker.postMessage(task);
      }
    }
    // What is dealt need not be waited for: a connection delivers in order, and its totals are checked over there.
    if (this.#feedEnded && this.#nothingCollected() && this.#nothingToDeal(scheduler)) {
      this.#closing = true;
      // Requests come as soon as the destination has the package, which follows this set.
      if (!this.#resumed || this.#set === 0) {
        this.#tellFault({ type: "serve", ledger: this.#ledger!.share(), blocks: this.#blocks });
      }
      const end: SenderTask = { type: "end-of-set", set: this.#set };
      for (const { worker } of this.#senders) worker.postMessage(end);
    }
  }

  #nothingToDeal(scheduler: Scheduler): boolean {
    if (this.#dealing === "nothing") return false;
    if (this.#dealing === "resume-set") return scheduler.isDone;
    return this.#ledger!.owedPages() === 0 && this.#push?.isAmidHostPage !== true;
  }

  #nothingCollected(): boolean {
    return this.#senders.every(({ collected }) => collected.length === 0);
  }

  #nextTask(scheduler: Scheduler, connection: number, sender: Sender): BatchTask | null {
    const collected = sender.collected.shift();
    if (collected !== undefined) {
      const { block, runs, pages, slot } = collected;
      return { type: "slot", block, runs, pages, slot };
    }
    if (this.#dealing === "nothing") return null;
    const batch = this.#push === null ? scheduler.take(connection) : this.#push.take(connection);
    return batch === null ? null : { type: "memory", ...batch };
  }

  #tellCounters(): void {
    const ledger = this.#ledger;
    if (ledger === null) return;
    const usage = process.cpuUsage();
    const listedPages = ledger.listedPages();
    const counters: SourceCounters = {
      totalPages: ledger.totalPages,
      listedPages,
      owedPages: ledger.owedPages(),
      backlogPages: ledger.backlogPages(),
      coldPages: ledger.owedColdPages(),
      sentPages: ledger.sentPages,
      resentPages: ledger.resentPages,
      zeroPages: ledger.zeroPages(),
      freePages: ledger.freePages(),
      sentZeroPages: this.#senders.reduce((sum, sender) => sum + sender.zeroPages, 0),
      differencePages: this.#senders.reduce((sum, sender) => sum + sender.differencePages, 0),
      hotPages: ledger.hotPages(),
      listedRecords: ledger.listedRecords,
      passes: ledger.passes,
      firstPassDone: this.#feedEnded || ledger.passes > 1 || listedPages === ledger.totalPages,
      faults: ledger.faults,
      settledPages: this.#settledPages,
      bytesOnWire: this.#senders.reduce(
        (sum, sender) => sum + sender.bytesOnWire,
        this.#fault?.bytesOnWire ?? 0,
      ),
      cpuSeconds: (usage.user + usage.system) / 1e6,
    };
    tell({ type: "counters", counters });
    this.#hints?.tick({
      nowMs: performance.now(),
      firstPassDone: counters.firstPassDone,
      held: this.#gate.isHeld,
      starving: this.#starving,
      holding: this.#dealing === "nothing",
    });
    if (counters.firstPassDone) this.#oweKernelsZeros(ledger);
    if (counters.firstPassDone && counters.owedPages <= LATE_PAGES && !this.#late) this.#enterLateRounds();
  }

  /** Once, while the guest still runs here: they cost next to nothing, and each may be a fault. */
  #oweKernelsZeros(ledger: Ledger): void {
    const kernel = this.#hints?.kernelPages ?? null;
    if (this.#owesKernelsZeros || kernel === null || this.#dealing !== "all" || this.#feedEnded) return;
    this.#owesKernelsZeros = true;
    if (oweZeroPages(ledger, kernel, this.#readable) > 0) this.#pumpSoon();
  }

  #hurry(on: boolean): void {
    for (const { worker } of this.#senders) worker.postMessage({ type: "hurry", on } satisfies SenderTask);
  }

  #enterLateRounds(): void {
    this.#late = true;
    this.#scheduler!.setBatchPages(LATE_BATCH_PAGES);
    for (const { window } of this.#senders) window.setBatchPages(LATE_BATCH_PAGES);
  }
}

function tell(notice: SourceNotice): void {
  process.send!(notice);
}

function fail(error: ErrorRecord): void {
  tell({ type: "failed", error });
}

keepCompiled();
let running: SourceProcess | null = null;
process.on("message", (message) => {
  const command = message as SourceCommand;
  try {
    if (command.type === "start") {
      running = new SourceProcess(command);
      running.run();
    } else running?.command(command);
  } catch (thrown) {
    fail(asGodwitError(thrown, "GODWIT_DATA_PROCESS", { side: "source" }).toJSON());
  }
});
// Threads may sit in a read of QEMU's socket, where nothing gentler reaches them; there is nothing here to save.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("SIGINT", () => {});
