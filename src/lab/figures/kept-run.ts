import { z } from "zod";
import { migrationEventSchema } from "../../migration/events.ts";
import { clientStepsSchema } from "../client-stream-steps.ts";
import { labResultSchema } from "../lab-result.ts";

/** One run as a line of `results.jsonl`. */
export const keptRunSchema = z.object({
  /** Settings and engine version: `runKeyOf`. */
  key: z.string(),
  /** Settings alone: `settingsKeyOf`. */
  settingsKey: z.string(),
  engineVersion: z.string(),
  contender: z.string(),
  command: z.string(),
  repeat: z.number().int(),
  /** How long the run took, with the guest's boot, filling and checks. */
  tookMs: z.number(),
  /** Null when the lab itself failed; then there is an error. A move that failed is a result. */
  result: labResultSchema.nullable(),
  error: z.string().nullable(),
  /** The guest's dirty rate as QEMU measured it by sampling before the move. */
  dirtyBytesPerSecond: z.number().nullable().default(null),
  clientSteps: clientStepsSchema.nullable().default(null),
  /** The event log of the migration without its report, which is the result. */
  events: z.array(migrationEventSchema).nullable().default(null),
});

/** One run. */
export type KeptRun = z.infer<typeof keptRunSchema>;

/** A run that was made to its end: it is not made again. Where the lab failed it is. */
export function isFinished(run: KeptRun): boolean {
  return run.result !== null;
}

/** The guest arrived and is whole. */
export function hasArrived(run: KeptRun): boolean {
  return run.result?.outcome === "completed" && run.result.guestVerified === true;
}

/** Why a run is no measurement of a move, in words; null where it is one. */
export function failureOf(run: KeptRun): string | null {
  const { result } = run;
  if (result === null) return `the lab failed: ${run.error ?? "?"}`;
  if (result.outcome !== "completed")
    return `${result.outcome}: ${result.error?.message ?? "no reason given"}`;
  if (result.guestVerified !== true) return `the guest is damaged: ${result.guestDamage ?? "not asked"}`;
  return null;
}
