import { setTimeout as delay } from "node:timers/promises";
import type { AgentClient } from "../agent/client.ts";
import { GodwitError } from "../base/errors.ts";
import type { MigrationEvent } from "../migration/events.ts";
import type { MigrationReport } from "../migration/report.ts";

/** An agent that is restarted is back within seconds; half a minute covers a slow host. */
const PATIENCE_MS = 30_000;

/** Between two attempts: quick enough not to be noticed, slow enough to cost nothing. */
const RETRY_MS = 500;

/**
 * Shows each event of a migration once, also when the agent is restarted meanwhile, and resolves with the report;
 * with null when `detach` was aborted.
 * @throws GodwitError `GODWIT_MIGRATION_NO_REPORT` when the migration is over without a report, or whatever kept
 * the agent from being reached for 30 s
 */
export async function followMigration(
  client: AgentClient,
  id: string,
  show: (event: MigrationEvent) => void,
  detach: AbortSignal,
): Promise<MigrationReport | null> {
  let after = -1;
  let failingSinceMs: number | null = null;
  while (!detach.aborted) {
    try {
      const position = after < 0 ? {} : { after };
      for await (const event of client.events(id, { signal: detach, ...position })) {
        after += 1;
        failingSinceMs = null;
        show(event);
        if (event.type === "report") return event.report;
      }
      if (detach.aborted) break;
      failingSinceMs ??= performance.now();
      if (!(await client.migration(id)).active) throw withoutReport(id);
    } catch (error) {
      if (detach.aborted) break;
      failingSinceMs ??= performance.now();
      const unreachable = error instanceof GodwitError && error.code === "GODWIT_AGENT_UNREACHABLE";
      if (!unreachable || performance.now() - failingSinceMs > PATIENCE_MS) throw error;
    }
    await delay(RETRY_MS, undefined, { signal: detach }).catch(() => {});
  }
  return null;
}

function withoutReport(id: string): GodwitError {
  return new GodwitError("GODWIT_MIGRATION_NO_REPORT", `migration ${id} ended without a report`, {
    side: "source",
    vmState: "see `godwit vm list` on both hosts",
    advice: "its agent was ended meanwhile; if the VM runs at the source, try again",
  });
}
