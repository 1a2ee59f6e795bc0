import type { ErrorRecord } from "../../base/errors.ts";
import type { MemorySource } from "../../qemu/memory-source.ts";
import type { Credentials } from "../../wire/index.ts";
import type { FaultFigures } from "./fault-latency.ts";
import type { ConnectionTotals, HeadBlock } from "./source-protocol.ts";

/** What the destination agent tells its data process. */
export type DestinationCommand =
  /** Starts the receiver threads, which takes a while, before it is known where they dial. */
  | { readonly type: "warm-up"; readonly connections: number; readonly postcopy: boolean }
  | {
      readonly type: "start";
      readonly credentials: Credentials;
      /** Where the source's bulk listeners are, and the name their certificate must carry. */
      readonly host: string;
      readonly ports: readonly number[];
      readonly peerName: string;
      readonly tokenHex: string;
      readonly configuration: Uint8Array;
      readonly sectionId: number;
      readonly blocks: readonly HeadBlock[];
      /** RAM blocks that are written from outside; the others by QEMU, from its stream. */
      readonly memory: readonly MemorySource[];
    }
  /** Pages that are stale, as pairs of first page and count; before `resume`. */
  | { readonly type: "discards"; readonly block: number; readonly runs: Uint32Array }
  /** The resume set was sent: once it has arrived QEMU gets the post-copy package and prepares to run without the rest. */
  | {
      readonly type: "resume";
      readonly totals: readonly ConnectionTotals[];
      readonly deviceState: Uint8Array;
    }
  /** The rest was sent: once it has arrived QEMU's post-copy ends. */
  | { readonly type: "end-remainder"; readonly totals: readonly ConnectionTotals[] }
  /** Everything was sent: once it has arrived, the RAM section is ended and the device state written. */
  | {
      readonly type: "finish";
      readonly totals: readonly ConnectionTotals[];
      readonly deviceState: Uint8Array;
    };

/** What the data process tells the destination agent. */
export type DestinationNotice =
  | { readonly type: "connected" }
  | { readonly type: "progress"; readonly counters: DestinationCounters }
  | { readonly type: "pages-complete"; readonly atEpochMs: number }
  /** QEMU has been given the end of its stream. */
  | { readonly type: "written" }
  /** QEMU has loaded the device state of a post-copy package. */
  | { readonly type: "loaded" }
  /** QEMU has ended its post-copy. */
  | { readonly type: "remainder-complete"; readonly faults: FaultFigures }
  | { readonly type: "failed"; readonly error: ErrorRecord };

/** What has arrived, told a few times a second. */
export interface DestinationCounters {
  readonly placedPages: number;
  readonly placedZeroPages: number;
  readonly receivedBytes: number;
  readonly cpuSeconds: number;
}
