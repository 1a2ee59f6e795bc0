import type { MigrationEvent } from "../../migration/events.ts";

/** The events of the last migration of a log that several were appended to: time begins again, or the name changes. */
export function lastMigration(events: readonly MigrationEvent[]): readonly MigrationEvent[] {
  const begin = events.findLastIndex((event, at) => {
    const before = events[at - 1];
    return before === undefined || before.atMs > event.atMs || before.migrationId !== event.migrationId;
  });
  return events.slice(Math.max(0, begin));
}
