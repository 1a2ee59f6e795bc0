import type { ErrorRecord } from "../base/errors.ts";
import type { MigrationEvent } from "../migration/events.ts";
import type { LabHost } from "./host.ts";
import type { LabResult } from "./lab-result.ts";

/** What an engine itself tells of one move; the lab measures the rest. */
export interface EngineMove
  extends Pick<
    LabResult,
    | "outcome"
    | "totalMs"
    | "liveMs"
    | "setupMs"
    | "downtimeMs"
    | "downtime"
    | "pages"
    | "freePages"
    | "postcopy"
    | "stalledMs"
    | "rounds"
    | "sourceEnded"
    | "cpu"
  > {
  /** When the switchover began, `Date.now()` time; null when it never did. */
  readonly switchoverAtMs: number | null;
  readonly error: ErrorRecord | null;
}

/** How a move is followed and given up. */
export interface MoveOptions {
  readonly signal?: AbortSignal;
  /** Progress in the format of Godwit's event log, whoever moves. */
  onEvent?(event: MigrationEvent): void;
}

/** Something that runs a guest on one of two hosts and can move it to the other. */
export interface Engine extends AsyncDisposable {
  readonly name: LabResult["engine"];
  /** Where the guest runs now. */
  readonly where: LabHost;
  /** The unix socket of the guest's control channel, where it runs now. */
  readonly controlPath: string;
  /** Of the QEMUs: `10.0.2`. */
  readonly qemuVersion: string;
  /** The log of the QEMU that has the guest now, to look into after a failure. */
  readonly logPaths: readonly string[];
  /** The guest's dirty rate as its QEMU measures it, where the engine can ask. */
  dirtyBytesPerSecond?(signal?: AbortSignal): Promise<number>;
  /** Moves the guest to the other host. A failed move is a result too; only the lab's own failures are thrown. */
  move(options?: MoveOptions): Promise<EngineMove>;
}

/** The figures of a move that did not come to be. */
export const noFigures = {
  totalMs: null,
  liveMs: null,
  setupMs: null,
  downtimeMs: null,
  downtime: null,
  switchoverAtMs: null,
  pages: { total: 0, sent: 0, resent: 0, differences: 0, zero: 0, free: 0, faulted: 0 },
  freePages: null,
  postcopy: null,
  stalledMs: null,
  rounds: 0,
  sourceEnded: false,
  cpu: { sourceSeconds: null, destinationSeconds: null },
} as const;
