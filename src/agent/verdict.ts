import { existsSync } from "node:fs";
import { join } from "node:path";
import { Journal, type JournalRecord } from "../migration/journal.ts";
import type { MessageByType } from "../wire/index.ts";

/**
 * What the journal in a migration's folder lets a source in doubt be told (docs/commit.md). A journal that stands
 * before its decision says `committed`, which makes the source ask again: only `abandoned` lets it go on.
 * @throws GodwitError `GODWIT_JOURNAL_UNREADABLE`
 */
export async function verdictOf(folder: string, migrationId: string): Promise<MessageByType<"verdict">> {
  const answer = { type: "verdict", migrationId } as const;
  if (!existsSync(join(folder, "journal.jsonl"))) return { ...answer, verdict: "unknown" };
  const record = Journal.read(folder);
  if (record.head.role !== "destination") return { ...answer, verdict: "unknown" };
  switch (record.state) {
    case "abandoned":
      return { ...answer, verdict: "not-committed" };
    case "running":
    case "released":
      return { ...answer, verdict: "running", ...resumedAt(record) };
    default:
      return { ...answer, verdict: "committed" };
  }
}

/** When the guest was continued here, where the journal has it. */
function resumedAt({ entries }: JournalRecord): { resumedAtEpochMs?: number } {
  const note = entries.findLast(({ state }) => state === "running")?.note;
  try {
    const { resumedAtEpochMs } = JSON.parse(note ?? "{}") as { resumedAtEpochMs?: unknown };
    return typeof resumedAtEpochMs === "number" ? { resumedAtEpochMs } : {};
  } catch {
    return {};
  }
}
