import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import type { PhaseName } from "../migration/events.ts";
import { type MigrationReport, outcomeNames } from "../migration/report.ts";

const cardSchema = z.object({
  machine: z.string(),
  direction: z.enum(["outgoing", "incoming"]),
  peer: z.string(),
  startedAt: z.string(),
  /** Where there is no report: of an incoming migration, and of one whose agent died. */
  outcome: z.enum(outcomeNames).optional(),
});

/** What the agent itself remembers of a migration of either direction: `agent.json` in its folder. */
export type MigrationCard = z.infer<typeof cardSchema>;

/** How a migration ended. */
export type Outcome = (typeof outcomeNames)[number];

/** The report's outcome, except that a doubt may have been settled later. */
export function settledOutcome(report: MigrationReport | null, { outcome }: MigrationCard): Outcome | null {
  if (report === null || report.outcome === "in-doubt" || report.outcome === "paused")
    return outcome ?? report?.outcome ?? null;
  return report.outcome;
}

/** The phase that a report ends in. */
export function phaseOf(report: MigrationReport): PhaseName {
  return report.outcome === "in-doubt" ? "paused" : report.outcome;
}

/** Reads a folder's card; null where there is none or it makes no sense. */
export function readCard(folder: string): MigrationCard | null {
  try {
    return cardSchema.parse(JSON.parse(readFileSync(join(folder, "agent.json"), "utf8")));
  } catch {
    return null;
  }
}

/** Sortable by time, unlike any other: `20261121-050037-3f9a61`. */
export function newMigrationId(): string {
  const [date = "", time = ""] = new Date().toISOString().split("T");
  return `${date.replaceAll("-", "")}-${time.slice(0, 8).replaceAll(":", "")}-${randomBytes(3).toString("hex")}`;
}

/** Replaces a folder's card in one step. */
export function writeCard(folder: string, card: MigrationCard): void {
  writeFileAtomic.sync(join(folder, "agent.json"), `${JSON.stringify(card)}\n`);
}
