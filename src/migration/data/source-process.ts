import { setTimeout as delay } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { keepCompiled } from "../../base/compile-cache.ts";
import { asGodwitError, type ErrorRecord } from "../../base/errors.ts";
import { Pacer } from "../../wire/bulk/pacer.ts";
import { Ledger } from "../ledger.ts";
import { Push } from "../push.ts";
import { LATE_BATCH_PAGES, Scheduler } from "../scheduler.ts";
import { FEW_COLD_PAGES } from "../strategies/strategy.ts";
import { type BatchTask, BulkSenders } from "./bulk-senders.ts";
import { ContentRing } from "./content-ring.ts";
import type { FaultInput, FaultNotice, FaultTask } from "./fault-thread.ts";
import { FeedGate, GATE_OPEN } from "./feed-gate.ts";
import type { FeedInput, FeedNotice } from "./feed-thread.ts";
import type { HintsInput } from "./free-page-looks.ts";
import { GuestHints } from "./guest-hints.ts";
import { oweZeroPages } from "./kernel-pages.ts";
import { answerQemu } from "./qemu-answers.ts";
import { discardsOf, payingSources, type ResumeSet, resumeSetOf } from "./resume-set.ts";
import type { SenderInput } from "./sender-thread.ts";
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
 * Times as long as a search for pages to send took, when it found none, until the next one that only a listing asks
 * for: where all that is owed waits for a look it goes through the whole guest, and one after each megabyte that QEMU
 * lists of 8 GiB kept this thread from hearing the guest's answer for seconds. So they take a tenth of its time at most.
 */
const VAIN_SEARCH_RESTS = 9;

/** Shorter rests are none: a small guest is searched at once. */
const LEAST_REST_MS = 2;

/**
 * Which pages are dealt. `all`: whatever is owed. `nothing`: post-copy waits for the guest to stand. `resume-set`:
 * what the guest needs first. `push`: everything, in the order of post-copy.
 */
type Dealing = "all" | "nothing" | "resume-set" | "push";

/** The data process of a migration's source: feed thread in, sender threads out, the scheduler between them. */
class SourceProcess {
  readonly #start: Start;
  readonly #gate = new FeedGate();
  readonly #ring = new ContentRing(RING_SLOTS);
  readonly #senders = new BulkSenders({
    listening: (connection, port) => this.#listens(connection, port),
    connected: () => this.#connects(),
    placed: (pages) => this.#placed(pages),
    setComplete: () => this.#setComplete(),
    failed: fail,
  });
  readonly #pacer = new Pacer();
  #ledger: Ledger | null = null;
  #scheduler: Scheduler | null = null;
  #listening: number[] = [];
  #connected = 0;
  #allListed = false;
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
    this.#senders.start(Array.from({ length: start.connections }, (_, at) => this.#senderInput(at)));
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

  #senderInput(connection: number): SenderInput {
    const { connections, credentials, peerName, listen, tokenHex, compression, memory } = this.#start;
    const token = Buffer.from(tokenHex, "hex");
    const [pacer, ring, ringSlots] = [this.#pacer.shared, this.#ring.buffer, this.#ring.slots];
    return {
      ...{ connection, connections, credentials, peerName, listen, token },
      ...{ compression, pacer, memory, ring, ringSlots },
    };
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
    if (notice.type === "listening") this.#listens(this.#senders.count, notice.port);
    else if (notice.type === "connected") this.#connects();
    else if (notice.type === "outrun") {
      this.#hurry(notice.on);
      if (this.#start.compression === "auto") tell(notice);
    } else if (notice.type === "placed") {
      fault.bytesOnWire = notice.bytesOnWire;
      this.#settle(notice.pages);
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
    this.#senders.tellAll({ type: "yield" });
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
      this.#senders.tellAll({ type: "blocks", blocks });
      tell({ type: "head", configuration, sectionId, blocks, totalBytes });
    } else if (notice.type === "collected") {
      this.#senders.collect(notice.batch);
      this.#pump();
    } else if (notice.type === "device-state") {
      tell({ type: "device-state", bytes: notice.bytes, atEpochMs: notice.atEpochMs });
    } else if (notice.type === "listed") {
      this.#allListed = true;
      // Where the guest resumes before all is there, what is under way stands before the answers to its faults.
      if (this.#dealing === "all") this.#senders.widen();
      this.#pump();
      this.#hints?.end();
    } else if (notice.type === "ended") {
      tell({ type: "stream-ended" });
    } else fail(notice.error);
  }

  #placed(pages: number): void {
    this.#settle(pages);
    this.#gate.drained();
    this.#pump();
  }

  #settle(pages: number): void {
    this.#settledPages += pages;
    this.#ledger!.arrived(pages);
  }

  get #connections(): number {
    return this.#senders.count + (this.#fault === null ? 0 : 1);
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
    const totals = this.#senders.totals!;
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
    this.#senders.forgetTotals();
    this.#set = 1;
    this.#closing = false;
    this.#dealing = "nothing";
  }

  /** Once all else has left and nobody waits for a zero page in order to run. */
  #endFaults(): void {
    if (!this.#resumed || this.#set === 0 || this.#senders.totals === null) return;
    this.#tellFault({ type: "end-of-set", set: 1 });
  }

  #remainderComplete(bubblePages: number, learned: readonly number[]): void {
    this.#tellCounters();
    const totals = [...this.#senders.totals!, this.#fault!.totals!];
    const workingSet = this.#hints?.workingSetReport(this.#ledger!) ?? null;
    tell({ type: "remainder-complete", totals, bubblePages, learned, workingSet });
  }

  #tellFault(task: FaultTask): void {
    this.#fault?.worker.postMessage(task);
  }

  async #pumpOnListings(): Promise<void> {
    for (let seen = 0; !this.#allListed; ) {
      seen = await this.#gate.nextListing(seen);
      const beginMs = performance.now();
      this.#pump();
      const restMs = VAIN_SEARCH_RESTS * (performance.now() - beginMs);
      if (this.#deferring && this.#starving && restMs >= LEAST_REST_MS) await delay(restMs);
    }
  }

  #pump(): void {
    const scheduler = this.#scheduler;
    if (scheduler === null || this.#connected < this.#connections || this.#closing) return;
    if (this.#allListed && this.#dealing === "nothing" && this.#set === 0 && this.#wantedSet !== null) {
      this.#chooseResumeSet(this.#wantedSet);
    }
    this.#starving = false;
    for (let connection = 0; connection < this.#senders.count; connection++) {
      while (this.#senders.isOpen(connection)) {
        const task = this.#nextTask(scheduler, connection);
        this.#starving ||= task === null;
        if (task === null) break;
        this.#senders.deal(connection, task);
      }
    }
    // What is dealt need not be waited for: a connection delivers in order, and its totals are checked over there.
    if (this.#allListed && this.#senders.nothingCollected && this.#nothingToDeal(scheduler)) {
      this.#closing = true;
      // Requests come as soon as the destination has the package, which follows this set.
      if (!this.#resumed || this.#set === 0) {
        this.#tellFault({ type: "serve", ledger: this.#ledger!.share(), blocks: this.#blocks });
      }
      this.#senders.tellAll({ type: "end-of-set", set: this.#set });
    }
  }

  #nothingToDeal(scheduler: Scheduler): boolean {
    if (this.#dealing === "nothing") return false;
    if (this.#dealing === "resume-set") return scheduler.isDone;
    return this.#ledger!.owedPages() === 0 && this.#push?.isAmidHostPage !== true;
  }

  #nextTask(scheduler: Scheduler, connection: number): BatchTask | null {
    const collected = this.#senders.nextCollected(connection);
    if (collected !== null) return collected;
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
      coldPages: ledger.owedColdPages(FEW_COLD_PAGES),
      sentPages: ledger.sentPages,
      resentPages: ledger.resentPages,
      zeroPages: ledger.zeroPages(),
      freePages: ledger.freePages(),
      sentZeroPages: this.#senders.zeroPages,
      differencePages: this.#senders.differencePages,
      hotPages: ledger.hotPages(),
      listedRecords: ledger.listedRecords,
      passes: ledger.passes,
      firstPassDone: this.#allListed || ledger.passes > 1 || listedPages === ledger.totalPages,
      hasLookedAgain: this.#gate.hasLookedAgain,
      faults: ledger.faults,
      settledPages: this.#settledPages,
      bytesOnWire: this.#senders.bytesOnWire + (this.#fault?.bytesOnWire ?? 0),
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
    const kernel = this.#hints?.allKernelPages ?? null;
    if (this.#owesKernelsZeros || kernel === null || this.#dealing !== "all" || this.#allListed) return;
    this.#owesKernelsZeros = true;
    if (oweZeroPages(ledger, kernel, this.#readable) > 0) this.#pumpSoon();
  }

  #hurry(on: boolean): void {
    this.#senders.tellAll({ type: "hurry", on });
  }

  #enterLateRounds(): void {
    this.#late = true;
    this.#scheduler!.setBatchPages(LATE_BATCH_PAGES);
    this.#senders.setBatchPages(LATE_BATCH_PAGES);
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
