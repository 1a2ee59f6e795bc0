import type { ErrorRecord } from "../../base/errors.ts";
import type { MemorySource } from "../../qemu/memory-source.ts";
import type { CompressionMode } from "../../wire/bulk/choice.ts";
import type { Credentials } from "../../wire/index.ts";
import type { ResumeSetSource } from "../resume-set-sources.ts";
import type { PageOrder } from "../scheduler.ts";
import type { FreePageLook, HintsInput } from "./free-page-looks.ts";
import type { WorkingSetFigures } from "./working-set.ts";
import type { WorkingSetWorth } from "./working-set-worth.ts";

/** A RAM block as the head of QEMU's stream announces it. */
export interface HeadBlock {
  readonly name: string;
  readonly usedBytes: number;
  readonly pageSizeBytes: number;
}

/** What the source agent tells its data process. Crosses the process boundary by structured clone. */
export type SourceCommand =
  | {
      readonly type: "start";
      readonly credentials: Credentials;
      /** The name that the dialling peer's certificate must carry. */
      readonly peerName: string;
      readonly listen: { readonly host: string; readonly ports?: readonly [number, number] | undefined };
      readonly tokenHex: string;
      readonly connections: number;
      readonly compression: CompressionMode;
      readonly bandwidthBytesPerSecond: number | null;
      /** RAM blocks that can be read from outside; contents of the others come from the stream. */
      readonly memory: readonly MemorySource[];
      readonly order: PageOrder;
      /** The guest may resume before all of its pages are there: a connection for faults is wanted, and how. */
      readonly postcopy: { readonly bubblePages: number | null } | null;
      /** How to ask the guest for its free pages; null: it isn't asked. */
      readonly hints: HintsInput | null;
      /** Bytes of a host page at both ends, by the RAM block's name; 4096 where absent. */
      readonly hostPageBytes: Readonly<Record<string, number>>;
      /** Names of device sections that stay behind. */
      readonly cut: readonly string[];
      /** QEMU waits for {@link SourceCommand} `permit-stop` before it stops the guest, and for our word at its end. */
      readonly acknowledged: boolean;
      /** Backlog above which QEMU is held, in pages; {@link GATE_OPEN} to never hold it. */
      readonly gatePages: number;
    }
  /** QEMU may stop the guest when its own rule says so. Without `acknowledged` it may anyway. */
  | { readonly type: "permit-stop" }
  /** Whether speed counts more than bytes: then `auto` compresses only what costs no time. */
  | { readonly type: "hurry"; readonly on: boolean }
  /** The guest has stopped: what is left comes at full speed. */
  | { readonly type: "open-gate" }
  /** The guest is to be stopped for post-copy: no page leaves any more until the resume set is known. */
  | { readonly type: "hold-pages" }
  /** What is owed leaves again. */
  | { readonly type: "deal-pages" }
  /** What the resume set is made of, null for what pays; `learned`: what the guest asked for first before, pairs of RAM block and page. */
  | {
      readonly type: "resume-set";
      readonly learned: Uint32Array;
      readonly sources: readonly ResumeSetSource[] | null;
    }
  /** The destination takes pages in any order now: what is owed goes unasked, around faults first. */
  | { readonly type: "push" }
  /**
   * The guest runs at the destination. Until then requests are answered even when nothing is owed any more: what
   * continues the guest touches its memory, pages that were always zero too, and is not done before it has them.
   */
  | { readonly type: "resumed" }
  | { readonly type: "set-bandwidth"; readonly bytesPerSecond: number | null };

/** What the data process tells the source agent. */
export type SourceNotice =
  | { readonly type: "listening"; readonly ports: readonly number[] }
  | { readonly type: "connected" }
  | {
      readonly type: "head";
      readonly configuration: Uint8Array;
      readonly sectionId: number;
      readonly blocks: readonly HeadBlock[];
      readonly totalBytes: number;
    }
  | { readonly type: "counters"; readonly counters: SourceCounters }
  /** Not checked yet: `stream-ended` says that it was right. */
  | { readonly type: "device-state"; readonly bytes: Uint8Array; readonly atEpochMs: number }
  /** QEMU's stream was whole, and so was what was told of it. */
  | { readonly type: "stream-ended" }
  | { readonly type: "pages-complete"; readonly totals: readonly ConnectionTotals[] }
  | {
      readonly type: "resume-set-complete";
      readonly totals: readonly ConnectionTotals[];
      /** What the destination has and must forget, per RAM block: pairs of first page and count. */
      readonly discards: readonly { readonly block: number; readonly runs: Uint32Array }[];
      readonly owedPages: number;
      readonly resumeSetPages: number;
      /** Of these, by the source that named them first. */
      readonly bySource: Readonly<Record<ResumeSetSource, number>>;
    }
  /** Nothing is owed any more, in place of `pages-complete`; the connection for faults comes last. */
  | {
      readonly type: "remainder-complete";
      readonly totals: readonly ConnectionTotals[];
      readonly bubblePages: number;
      readonly learned: readonly number[];
      /** What was known of the guest's working set, and what that was worth; null where nothing was. */
      readonly workingSet: WorkingSetReport | null;
    }
  /** The guest was asked for its free pages. */
  | { readonly type: "looked"; readonly look: FreePageLook }
  /** Nothing waits any more for what the guest says of its free pages. */
  | { readonly type: "looks-settled" }
  | { readonly type: "looks-gave-up"; readonly error: ErrorRecord }
  /** Whether the guest at the destination is faster than push from now on, where `auto` may compress less for it. */
  | { readonly type: "outrun"; readonly on: boolean }
  | { readonly type: "failed"; readonly error: ErrorRecord };

/** The guest's working set in figures. */
export type WorkingSetReport = WorkingSetFigures & WorkingSetWorth;

/** The ledger and the wire at a moment, told about twenty times a second. */
export interface SourceCounters {
  readonly totalPages: number;
  readonly listedPages: number;
  readonly owedPages: number;
  readonly backlogPages: number;
  /** Of the owed pages, those that the guest was not seen writing to; where these are many, at least so many. */
  readonly coldPages: number;
  readonly sentPages: number;
  readonly resentPages: number;
  /** Pages settled as zero without sending anything, free ones included. */
  readonly zeroPages: number;
  /** Pages never sent because they were free. */
  readonly freePages: number;
  /** Of the sent pages, those that turned out to be zero: they cost a bit each. */
  readonly sentZeroPages: number;
  /** Pages that travelled as their difference from what was sent before. */
  readonly differencePages: number;
  readonly hotPages: number;
  /** Records that QEMU wrote, a page counted each time it was listed. */
  readonly listedRecords: number;
  readonly passes: number;
  /** QEMU has begun its second pass, or ended. */
  readonly firstPassDone: boolean;
  /** What QEMU says to be dirty is what the guest wrote to lately: it is not held any more, or never was. */
  readonly hasLookedAgain: boolean;
  /** Pages that the running destination asked for. */
  readonly faults: number;
  /** Pages that left `owed` in any way since the start. */
  readonly settledPages: number;
  readonly bytesOnWire: number;
  readonly cpuSeconds: number;
}

/** What went over one bulk connection since its start. */
export interface ConnectionTotals {
  readonly batches: number;
  readonly pages: number;
  readonly zeroPages: number;
}
