import { z } from "zod";
import { errorRecordSchema } from "../base/error-record.ts";
import { outcomeNames, reportSchema } from "../migration/report.ts";

/** What the client outside saw of a move. Times in milliseconds; see `probe-gaps.ts` for what they mean. */
const clientSchema = z.object({
  probes: z.number().int(),
  lost: z.number().int(),
  /** Round trips during the move. */
  roundTripMs: z.object({ p50: z.number(), p99: z.number(), max: z.number() }).nullable(),
  /** The longest silence in the seconds before the move: a pause below this says nothing. */
  noiseMs: z.number().nullable(),
  /** The longest time that the probe itself was kept from sending during the move. */
  ownStallMs: z.number(),
});

/**
 * One measured move of a guest from one host to the other: the last line of `npm run lab -- migrate`. All engines
 * are measured with the same clocks and counters where they can be; the rest is what the engine says itself.
 */
export const labResultSchema = z.object({
  outcome: z.enum(outcomeNames),
  engine: z.enum(["godwit", "qemu"]),
  strategy: z.string(),
  direction: z.enum(["a-to-b", "b-to-a"]),
  startedAt: z.string(),
  /**
   * godwit: from the request to the end, the start of the destination's QEMU included. qemu: from the `migrate`
   * command until the source said completed and the destination had resumed; its destination was started before.
   */
  totalMs: z.number().nullable(),
  /** From the first page to STOP. */
  liveMs: z.number().nullable(),
  /** qemu: its own `setup-time`. */
  setupMs: z.number().nullable(),
  /** STOP of the source to RESUME of the destination, by the time stamps of QEMU's events on this one machine. */
  downtimeMs: z.number().nullable(),
  /** Its parts in order, by the engine's own word; null for qemu. */
  downtime: reportSchema.shape.downtime.default(null),
  /** The longest silence that the client outside heard around the move; null where there is no client. */
  pauseSeenMs: z.number().nullable(),
  /**
   * The same, of silences that reach into the switchover or come after it. QEMU under TCG with a memory size of the
   * rule in `odd-memory.ts` stops the guest for a while at the very beginning, which can be the longer silence.
   */
  switchoverPauseSeenMs: z.number().nullable(),
  /** All that left both hosts on the migration link, headers included: the lab's own count, the same for all engines. */
  bytesOnWire: z.number().int(),
  /** The same by direction. */
  link: z.object({ forwardBytes: z.number().int(), backwardBytes: z.number().int() }),
  pages: z.object({
    total: z.number().int(),
    sent: z.number().int(),
    /** qemu: pages sent or told to be zero, beyond once each. */
    resent: z.number().int(),
    /** godwit: sent as their difference from what was sent before. */
    differences: z.number().int().default(0),
    zero: z.number().int(),
    free: z.number().int(),
    faulted: z.number().int(),
  }),
  /** What the guest told of its free pages, by the engine's own word. */
  freePages: reportSchema.shape.freePages.default(null),
  /** What came after the resume, by the engine's own word; null when the guest resumed with all of its pages. */
  postcopy: reportSchema.shape.postcopy.default(null),
  /**
   * How long the guest waited for pages after its resume: with Godwit, while at least one request was unanswered; with
   * stock QEMU, while every vCPU stood for one (`postcopy-blocktime`). Null where it lacked none, or nobody counted.
   */
  stalledMs: z.number().nullable().default(null),
  /** Dirty syncs of the source's QEMU. */
  rounds: z.number().int(),
  /** The guest's own check, on the source before and on the destination after; null where it could not be asked. */
  guestVerified: z.boolean().nullable(),
  /** What the guest found wrong. */
  guestDamage: z.string().nullable(),
  /** The guest's own figures before the move: was the load what was asked for? */
  load: z
    .object({
      holdBytes: z.number(),
      dirtyBytesPerSecond: z.number(),
      dirtyAreaBytes: z.number(),
      readBytesPerSecond: z.number().default(0),
    })
    .nullable(),
  /** The source's QEMU has ended. */
  sourceEnded: z.boolean(),
  client: clientSchema.nullable(),
  /** Processor seconds of the agents with their data processes for the move, by their own count; null for qemu. */
  cpu: z.object({ sourceSeconds: z.number().nullable(), destinationSeconds: z.number().nullable() }),
  machine: z.object({
    processor: z.string(),
    cores: z.number().int(),
    memoryBytes: z.number(),
    kernel: z.string(),
    /** One-minute load average before the run: above the number of cores the figures are not worth much. */
    loadAverage: z.number(),
  }),
  versions: z.object({
    godwit: z.string(),
    qemu: z.string(),
    node: z.string(),
    guestKernel: z.string(),
  }),
  settings: z.record(z.string(), z.unknown()),
  /** Whether the hosts were network namespaces or addresses of the loopback device. */
  hosts: z.enum(["namespaces", "loopback"]),
  error: errorRecordSchema.nullable(),
});

/** One measured move. */
export type LabResult = z.infer<typeof labResultSchema>;
