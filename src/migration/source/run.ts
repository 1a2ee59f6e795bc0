import { GodwitError, type GodwitErrorDetails } from "../../base/errors.ts";
import { waiting } from "../../base/waiting.ts";
import type { MemorySurvey } from "../../qemu/memory-layout.ts";
import type { QmpEvent } from "../../qemu/qmp-events.ts";
import type { ControlChannel } from "../../wire/index.ts";
import type { DroppedCache, FreePageLook, HintsInput } from "../data/free-page-looks.ts";
import type { SourceCounters } from "../data/source-protocol.ts";
import { EventLog } from "../event-log.ts";
import type { Journal } from "../journal.ts";
import type { OpaqueFigures } from "../opaque-devices.ts";
import { PhaseMachine } from "../phases.ts";
import type { MigrationReport } from "../report.ts";
import { strategies } from "../strategies/index.ts";
import type { Strategy } from "../strategies/strategy.ts";
import type { SourceData } from "./data.ts";
import type { SourceOptions } from "./options.ts";
import { QemuSender } from "./qemu-sender.ts";

/** Failures of the data process that are mostly the trace of another one. */
const TRACES = ["GODWIT_BULK_", "GODWIT_STREAM_TRUNCATED", "GODWIT_GUEST_MEMORY"];

/** The other side ends its QEMU before it says why it gave up; that takes a second at most. */
const PEER_REASON_TIMEOUT_MS = 3_000;

/** The moments of a migration, on the source's clock, as milliseconds since the epoch; null until they come. */
export interface Moments {
  readonly startedMs: number;
  liveMs: number | null;
  stoppedMs: number | null;
  capturedMs: number | null;
  pagesMs: number | null;
  loadedMs: number | null;
  resumedMs: number | null;
}

/** Post-copy in figures; see the report. */
export type PostcopyFigures = NonNullable<MigrationReport["postcopy"]>;

/** What the phases of one outgoing migration share. Each phase is a function over it, in a file of its own. */
export class SourceRun {
  readonly options: SourceOptions;
  /** The strategy that was asked for; from setup on the one that is possible. */
  strategy: Strategy;
  destinationTakesPostcopy = false;
  /** Pages that earlier moves of the guest asked for first, as pairs of RAM block and page. */
  learned: Uint32Array = new Uint32Array();
  /** The first requests of this move, likewise. */
  requests: readonly number[] = [];
  /** What the report says of post-copy; null while, and if, the guest resumes only with all of its pages. */
  postcopy: PostcopyFigures | null = null;
  /** Pages that went over the bulk connections until the resume set was complete. */
  pagesBeforeResume = 0;
  /** What is read out of opaque devices when the guest stands; null without any. */
  opaqueCaptured: Promise<Uint8Array> | null = null;
  /** What the report says of them. */
  opaque: OpaqueFigures | null = null;
  readonly qemu: QemuSender;
  readonly log: EventLog;
  readonly phases: PhaseMachine;
  readonly moments: Moments = {
    startedMs: Date.now(),
    liveMs: null,
    stoppedMs: null,
    capturedMs: null,
    pagesMs: null,
    loadedMs: null,
    resumedMs: null,
  };
  journal: Journal | null = null;
  channel: ControlChannel | null = null;
  data: SourceData | null = null;
  memory: MemorySurvey = { sources: [], unreadable: [] };
  guestWasPaused = false;
  /** The guest has powered off, so that QEMU is about to end. */
  guestPoweredOff = false;
  /** How to ask the guest for its free pages; null: it isn't asked. */
  hints: HintsInput | null = null;
  /** What it dropped of its page cache before it was asked; null when it wasn't to. */
  droppedCache: DroppedCache | null = null;
  /** Each time that it was asked. */
  readonly looks: FreePageLook[] = [];
  destinationQemu = "";
  rounds = 0;
  destinationCpuSeconds = 0;
  sourceEnded = false;
  readonly #fatal = new AbortController();
  readonly #watches: (() => void)[] = [];

  constructor(options: SourceOptions) {
    this.options = options;
    this.strategy = strategies[options.settings.strategy];
    this.qemu = new QemuSender(options.machine);
    this.log = new EventLog(options.folder, options.migrationId);
    this.phases = new PhaseMachine((phase, reason) => this.log.phase(phase, reason));
    this.log.phase("preflight", undefined);
  }

  /** Aborted by whatever ends the migration before its commit: a failure on any side, or a cancellation. */
  get signal(): AbortSignal {
    return this.#fatal.signal;
  }

  /** Ends the migration; the first reason counts. */
  fail(error: GodwitError): void {
    if (!this.#fatal.signal.aborted) this.#fatal.abort(error.with(this.where()));
  }

  /**
   * Ends the migration because the data process said so. A broken bulk connection is mostly the trace of a failure
   * at the other side, which says on the control channel what it really was; a torn stream and memory that can't be
   * read any more are the trace of a QEMU that has just died, which its monitor tells.
   */
  failByData(error: GodwitError): void {
    if (this.channel === null || !TRACES.some((prefix) => error.code.startsWith(prefix))) {
      this.fail(error);
      return;
    }
    const late = () => error;
    waiting(this.channel.aborted, { timeoutMs: PEER_REASON_TIMEOUT_MS, signal: this.signal }, late).then(
      (reason) => this.fail(reason),
      () => this.fail(error),
    );
  }

  /** Listens to QEMU's events until the run is over. */
  watch(
    listener: (event: QmpEvent) => void,
    closed: (error: GodwitError | undefined) => void = () => {},
  ): void {
    const { qmp } = this.options.machine;
    qmp.on("event", listener);
    qmp.on("close", closed);
    this.#watches.push(() => {
      qmp.off("event", listener);
      qmp.off("close", closed);
    });
  }

  /** Ends every watch. */
  unwatch(): void {
    for (const end of this.#watches.splice(0)) end();
  }

  /** What every error of this side says besides its message. */
  where(): GodwitErrorDetails {
    return { side: "source", phase: this.phases.current };
  }

  get counters(): SourceCounters | null {
    return this.data?.counters ?? null;
  }

  /** The control channel, once it stands. */
  get link(): ControlChannel {
    if (this.channel === null) throw new GodwitError("GODWIT_LINK_CLOSED", "there is no control channel yet");
    return this.channel;
  }

  /** The data process, once it runs. */
  get carrier(): SourceData {
    if (this.data === null) throw new GodwitError("GODWIT_DATA_PROCESS", "there is no data process yet");
    return this.data;
  }
}
