import { z } from "zod";
import { errorRecordSchema } from "../base/error-record.ts";
import { migrationSettingsSchema, resumeSetSources } from "./settings.ts";

/**
 * How a migration ended. `paused`: the guest is the destination's and lacks pages that the source keeps. `in-doubt`: the link
 * went between Commit and its answer (`docs/commit.md`).
 */
export const outcomeNames = ["completed", "cancelled", "failed", "in-doubt", "paused"] as const;

/**
 * The report of one migration: made from the ledger's counters and the clock when it ends, the last line of its
 * event log, kept at the source. Times are milliseconds, amounts are bytes or pages as the name says.
 */
export const reportSchema = z.object({
  migrationId: z.string(),
  vm: z.string(),
  outcome: z.enum(outcomeNames),
  strategy: z.string(),
  source: z.string(),
  destination: z.string(),
  startedAt: z.string(),
  /** From the request to the end. */
  totalMs: z.number(),
  /** From the request until the first page could flow. */
  setupMs: z.number(),
  /** From the first page to the source's STOP. */
  liveMs: z.number(),
  /** Source STOP to destination RESUME; null when the guest never stopped or never resumed there. */
  downtimeMs: z.number().nullable(),
  /** The parts of the downtime, in order. */
  downtime: z
    .object({
      /** STOP until the last page and the device state had left QEMU. */
      captureMs: z.number(),
      /** Until every owed page was at the destination and written to its QEMU. */
      pagesMs: z.number(),
      /** Until the destination's QEMU had loaded the device state. */
      loadMs: z.number(),
      /** Commit to RESUME. */
      commitMs: z.number(),
    })
    .nullable(),
  /** All that crossed the network for this migration, both directions, framing and TLS records included. */
  bytesOnWire: z.number().int(),
  pages: z.object({
    total: z.number().int(),
    /** Page contents sent, each time counted. */
    sent: z.number().int(),
    /** Of those, pages that had been sent before. */
    resent: z.number().int(),
    /** Of {@link sent}, pages that travelled as their difference from what was sent before. */
    differences: z.number().int(),
    /** Pages that were settled as zero. */
    zero: z.number().int(),
    /** Pages never sent because the guest said that they are free. */
    free: z.number().int(),
    /** Pages that the running destination asked for. */
    faulted: z.number().int(),
  }),
  /** What the guest told of its free pages; null when it told nothing. */
  freePages: z
    .object({
      source: z.enum(["driver", "kpageflags", "held-locks"]),
      /** Each time that it was asked. */
      looks: z.array(
        z.object({
          source: z.enum(["driver", "kpageflags", "held-locks"]),
          /** From asking to the answer. */
          tookMs: z.number(),
          /** Of that, in the guest. */
          scanMs: z.number(),
          /** Of that, with a zone's lock held: together, and at a stretch. */
          lockMs: z.number(),
          longestLockMs: z.number(),
          /** Pages that the guest said are free. */
          listedPages: z.number().int(),
          /** Of these, pages that need not be sent any more. */
          droppedPages: z.number().int(),
          /** What the guest's answer took on its channel. */
          listBytes: z.number().int(),
        }),
      ),
      /** Page cache that the guest dropped before the first look; null when it was not to. */
      droppedCache: z
        .object({
          bytes: z.number().int(),
          tookMs: z.number(),
          /** False: the time for it was over before the guest was done. */
          finished: z.boolean(),
        })
        .nullable(),
      /** With a lock held, all looks together. */
      lockMs: z.number(),
      listBytes: z.number().int(),
    })
    .nullable(),
  /** What came after the resume; null when the guest resumed with all of its pages. */
  postcopy: z
    .object({
      /** Pages sent between the stop and the resume because the guest will want them at once. */
      resumeSetPages: z.number().int(),
      /** Of these, by the source that named them first; null in reports that don't tell. */
      resumeSetBySource: z.partialRecord(z.enum(resumeSetSources), z.number().int()).nullable().default(null),
      /** Pages still owed when those were sent; zero pages are not among them. */
      owedPages: z.number().int(),
      /** Requests of the destination's QEMU. */
      faults: z.number().int(),
      /** Pages that went along with one that was asked for. */
      bubblePages: z.number().int(),
      /** Pages that came unasked. */
      pushedPages: z.number().int().default(0),
      /** Requests answered within 2^i microseconds and not within 2^(i-1), by i. */
      latencyCounts: z.array(z.number().int()),
      p50Us: z.number(),
      p99Us: z.number(),
      /** Time with at least one request unanswered. */
      stalledMs: z.number(),
      /** From the resume until the destination lacked nothing. */
      remainderMs: z.number(),
      /** The guest's working set, by its own word; null when it was not asked or did not say. */
      workingSet: z
        .object({
          /** Touched in any of the looks; of these, touched in each of the last two. */
          pages: z.number().int(),
          steadyPages: z.number().int(),
          looks: z.number().int(),
          /** Looks until the set no longer changed; null when it did to the end. */
          settledAfterLooks: z.number().int().nullable(),
          /** That the looks took in the guest, together. */
          scanMs: z.number(),
          /** Of its pages that were lacking at the resume, the share that was asked for. */
          precision: z.number().nullable(),
          /** Of the pages that were asked for, the share that is in it. */
          recall: z.number().nullable(),
        })
        .nullable(),
    })
    .nullable(),
  /** Devices that were read and rebuilt as software does; null where QEMU moved them all. */
  opaque: z
    .object({
      /** Reading them, within the downtime's `captureMs`. */
      captureMs: z.number(),
      /** What was read, in bytes on the wire. */
      bytes: z.number().int(),
      /** Rebuilding them, within the downtime's `loadMs`. */
      rebuildMs: z.number(),
    })
    .nullable()
    .default(null),
  /** Dirty syncs of QEMU that the migration saw. */
  rounds: z.number().int(),
  /** The source's QEMU has ended (or was never to be ended). */
  sourceEnded: z.boolean(),
  agents: z.object({
    sourceCpuSeconds: z.number(),
    destinationCpuSeconds: z.number(),
  }),
  settings: migrationSettingsSchema,
  versions: z.object({
    godwit: z.string(),
    sourceQemu: z.string(),
    destinationQemu: z.string(),
    node: z.string(),
  }),
  error: errorRecordSchema.nullable(),
});

/** The report of one migration. */
export type MigrationReport = z.infer<typeof reportSchema>;
