import { GodwitError } from "../base/errors.ts";
import type { MigrationReport } from "../migration/report.ts";

/** The exit codes of `godwit`; `docs/cli.md` explains them. */
export const exitCodes = {
  ok: 0,
  /** It failed. A migration that failed leaves the VM running at the source unless the message says otherwise. */
  failed: 1,
  usage: 2,
  /** The agent can't be reached, or it and we don't trust each other. */
  unreachable: 3,
  /** The link went between commit and its answer: nobody knows yet which side has the VM. */
  inDoubt: 4,
  /** The migration was cancelled; the VM runs at the source. */
  cancelled: 5,
  /** The agent can't start: another one has its state folder or its ports. */
  occupied: 6,
  /** Ended by Ctrl-C. */
  interrupted: 130,
} as const;

/** The exit code for an error that ended a command. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof GodwitError)) return exitCodes.failed;
  if (["GODWIT_USAGE", "GODWIT_CONFIG", "GODWIT_BAD_QUANTITY"].includes(error.code)) return exitCodes.usage;
  if (error.code === "GODWIT_PORT_TAKEN" || error.code === "GODWIT_STATE_LOCKED") return exitCodes.occupied;
  const unreachable = [
    "GODWIT_AGENT_UNREACHABLE",
    "GODWIT_CREDENTIALS",
    "GODWIT_AGENT_NOT_TRUSTED",
    "GODWIT_AGENT_ANSWER",
  ];
  const refused = error.code.startsWith("GODWIT_TLS_");
  return refused || unreachable.includes(error.code) ? exitCodes.unreachable : exitCodes.failed;
}

/** The exit code for the outcome of a migration. */
export function exitCodeOfReport({ outcome }: MigrationReport): number {
  switch (outcome) {
    case "completed":
      return exitCodes.ok;
    case "cancelled":
      return exitCodes.cancelled;
    case "failed":
      return exitCodes.failed;
    case "in-doubt":
    case "paused":
      return exitCodes.inDoubt;
  }
}
