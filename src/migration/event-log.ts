import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { MigrationEvent, PhaseName } from "./events.ts";
import type { MigrationReport } from "./report.ts";

/** The name of the event log in a migration's folder. */
export const EVENT_LOG_FILE = "events.jsonl";

type WithoutBase<Event> = Event extends unknown ? Omit<Event, "atMs" | "migrationId"> : never;

/** What an event says besides its time and migration. */
export type EventBody = WithoutBase<MigrationEvent>;

/** The event log of one migration on one side: appended to a file, and told to listeners. */
export class EventLog {
  readonly #migrationId: string;
  readonly #descriptor: number;
  readonly #startedMs = performance.now();
  readonly #listeners = new Set<(event: MigrationEvent) => void>();
  #closed = false;

  /** Opens `events.jsonl` in the migration's folder, which is made if need be. */
  constructor(folder: string, migrationId: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#migrationId = migrationId;
    this.#descriptor = openSync(join(folder, EVENT_LOG_FILE), "a", 0o600);
  }

  /** Milliseconds since the log was opened. */
  get atMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** Calls back on every later event. @returns ends that */
  onEvent(listener: (event: MigrationEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Appends an event. A listener that throws harms neither the log nor the migration. */
  append(body: EventBody): void {
    if (this.#closed) return;
    const atMs = Math.round(this.atMs * 1000) / 1000;
    const event = { atMs, migrationId: this.#migrationId, ...body } as MigrationEvent;
    writeSync(this.#descriptor, `${JSON.stringify(event)}\n`);
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        process.emitWarning(`a listener of migration events failed: ${error}`);
      }
    }
  }

  phase(phase: PhaseName, reason: string | undefined): void {
    this.append({ type: "phase", phase, ...(reason === undefined ? {} : { reason }) });
  }

  /** Appends the last event and closes the log. */
  finish(report: MigrationReport): void {
    this.append({ type: "report", report });
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#descriptor);
  }
}
