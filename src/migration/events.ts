import { z } from "zod";
import { errorRecordSchema } from "../base/error-record.ts";
import { reportSchema } from "./report.ts";

/** The phases of every migration, in their order, then the ways aside. See `docs/phases.md`. */
export const phaseNames = [
  "preflight",
  "setup",
  "live",
  "switchover",
  "remainder",
  "completed",
  "cancelling",
  "cancelled",
  "failed",
  "paused",
] as const;

/** The name of a phase. */
export type PhaseName = (typeof phaseNames)[number];

const base = {
  /** Milliseconds since the migration was asked for. */
  atMs: z.number(),
  migrationId: z.string(),
};

/**
 * One line of a migration's event log, and one server-sent event. The log is JSON lines; its last line is the
 * `report` event. The progress bar, `--json`, the lab and the tests all read this one format.
 */
export const migrationEventSchema = z.discriminatedUnion("type", [
  z.object({ ...base, type: z.literal("phase"), phase: z.enum(phaseNames), reason: z.string().optional() }),
  z.object({
    ...base,
    type: z.literal("progress"),
    phase: z.enum(phaseNames),
    /** Pages that the destination still lacks, as far as QEMU has told. */
    owedPages: z.number().int(),
    totalPages: z.number().int(),
    sentPages: z.number().int(),
    bytesOnWire: z.number().int(),
    /** Bytes on the wire per second over the last interval. */
    wireBytesPerSecond: z.number(),
    /** Guest pages per second that left `owed` over the last interval. */
    pagesPerSecond: z.number(),
    /** Guest pages per second that QEMU reported dirty again in its last round. */
    dirtyPagesPerSecond: z.number(),
    rounds: z.number().int(),
    /** Pages that the running destination asked for so far; logs of before this field have none. */
    faultedPages: z.number().int().default(0),
    /** Estimated time left, or null where it can't be told. */
    leftMs: z.number().nullable(),
    /** Why the estimate is what it is, in words. */
    leftReason: z.string(),
  }),
  /** A decision of the strategy with its reason: stop now, compression off, throttle … */
  z.object({ ...base, type: z.literal("decision"), what: z.string(), reason: z.string() }),
  z.object({ ...base, type: z.literal("error"), error: errorRecordSchema }),
  z.object({ ...base, type: z.literal("report"), report: z.lazy(() => reportSchema) }),
]);

/** One entry of a migration's event log. */
export type MigrationEvent = z.infer<typeof migrationEventSchema>;
