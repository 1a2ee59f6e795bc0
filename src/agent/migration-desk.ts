import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { GodwitError } from "../base/errors.ts";
import { EVENT_LOG_FILE } from "../migration/event-log.ts";
import type { MigrationEvent, PhaseName } from "../migration/events.ts";
import { Journal } from "../migration/journal.ts";
import { type MigrationReport, reportSchema } from "../migration/report.ts";
import { type MigrationSettings, migrationSettingsSchema } from "../migration/settings.ts";
import { notInDoubt, OperatorWord, type OwnerName } from "../migration/source/operator-word.ts";
import { REPORT_FILE } from "../migration/source/report.ts";
import {
  type MigrationCard,
  newMigrationId,
  type Outcome,
  phaseOf,
  readCard,
  settledOutcome,
  writeCard,
} from "./migration-card.ts";
import type { Destination, OutgoingFactory, OutgoingMigration } from "./ports.ts";
import type { MachineRegistry } from "./registry.ts";
import { type MigrationInfo, migrationIdPattern } from "./schemas.ts";

/** Folders of ended migrations that are kept: some 100 KiB each, so they stay far below 100 MiB. */
const KEPT_MIGRATIONS = 500;

interface Entry {
  readonly id: string;
  card: MigrationCard;
  phase: PhaseName | null;
  active: boolean;
  /** Read once; a report in doubt may still be replaced by the recovery. */
  report: MigrationReport | null;
  outgoing: OutgoingMigration | null;
  incoming: Cancellable | null;
  /** Settles when the migration is over and its VM settled. */
  done: Promise<void>;
}

interface Cancellable {
  cancel(reason: string): unknown;
}

/** A migration of an earlier agent whose destination is being asked. */
interface Doubt {
  readonly operator: OperatorWord;
  readonly ended: PromiseWithResolvers<void>;
}

/** Anything that tells a migration's events. */
interface EventSource {
  onEvent(listener: (event: MigrationEvent) => void): () => void;
}

/** The migrations of this host, of both directions: what runs, and the folders of what has ended. */
export class MigrationDesk<Native> {
  readonly #folder: string;
  readonly #registry: MachineRegistry<Native>;
  readonly #outgoing: OutgoingFactory<Native>;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry>();
  /** Of migrations of an earlier agent that are in doubt. */
  readonly #doubts = new Map<string, Doubt>();
  #closing = false;

  /** @param options.folder the `migrations` folder of the agent's state */
  constructor(options: {
    folder: string;
    registry: MachineRegistry<Native>;
    outgoing: OutgoingFactory<Native>;
    log: Logger;
  }) {
    this.#folder = options.folder;
    this.#registry = options.registry;
    this.#outgoing = options.outgoing;
    this.#log = options.log;
  }

  /** Finds the folders of earlier migrations and drops the oldest beyond 500. */
  load(): void {
    for (const id of readdirSync(this.#folder).sort()) {
      if (!migrationIdPattern.test(id)) continue;
      const card = readCard(join(this.#folder, id));
      if (card === null) continue;
      this.#entries.set(id, {
        id,
        card,
        phase: null,
        active: false,
        report: null,
        outgoing: null,
        incoming: null,
        done: Promise.resolve(),
      });
    }
    const old = this.list().slice(KEPT_MIGRATIONS);
    for (const { id, outcome } of old) {
      if (outcome === null || outcome === "in-doubt" || outcome === "paused") continue;
      this.#entries.delete(id);
      rmSync(this.folderOf(id), { recursive: true, force: true });
    }
  }

  /** The folder of a migration's journal, event log and report. */
  folderOf(id: string): string {
    return join(this.#folder, id);
  }

  /** Every migration, newest first. */
  list(): MigrationInfo[] {
    return [...this.#entries.values()]
      .map((entry) => this.#info(entry))
      .sort((a, b) =>
        a.startedAt < b.startedAt ? 1 : a.startedAt > b.startedAt ? -1 : a.id < b.id ? 1 : -1,
      );
  }

  /** How many are under way. */
  activeCount(direction?: "outgoing" | "incoming"): number {
    let count = 0;
    for (const entry of this.#entries.values()) {
      if (entry.active && (direction === undefined || entry.card.direction === direction)) count += 1;
    }
    return count;
  }

  /** @throws GodwitError `GODWIT_MIGRATION_UNKNOWN` */
  show(id: string): MigrationInfo {
    return this.#info(this.#entry(id));
  }

  /**
   * The report of a migration that has ended.
   * @throws GodwitError `GODWIT_MIGRATION_ACTIVE`, `GODWIT_MIGRATION_NO_REPORT`, `GODWIT_MIGRATION_UNKNOWN`
   */
  report(id: string): MigrationReport {
    const entry = this.#entry(id);
    const report = this.#report(entry);
    if (report !== null) return report;
    if (entry.active) {
      throw new GodwitError("GODWIT_MIGRATION_ACTIVE", `migration ${id} has not ended`, {
        advice: "follow its events, or ask again later",
      });
    }
    throw new GodwitError("GODWIT_MIGRATION_NO_REPORT", `migration ${id} ended without a report`, {
      advice: "its agent was ended meanwhile; the state of the VM tells how it came out: `godwit vm list`",
    });
  }

  /** Where the event log of a migration is and whether anybody still writes to it. */
  eventLog(id: string): { path: string; isOver: () => boolean } {
    const entry = this.#entry(id);
    return { path: join(this.folderOf(id), EVENT_LOG_FILE), isOver: () => !entry.active };
  }

  /** Whether this agent is at work on a migration. */
  isActive(id: string): boolean {
    return this.#entries.get(id)?.active === true;
  }

  /** Resolves when a migration is over and its VM settled; at once for an unknown one. */
  async settled(id: string): Promise<void> {
    await this.#entries.get(id)?.done;
  }

  /** Begins to move a VM away. Returns as soon as it is under way. */
  start(machine: string, destination: Destination, settings?: MigrationSettings): MigrationInfo {
    this.#refuseWhenClosing();
    const id = newMigrationId();
    const handle = this.#registry.beginOutgoing(machine, id);
    const peer = destination.port === 7481 ? destination.host : `${destination.host}:${destination.port}`;
    const folder = this.folderOf(id);
    let migration: OutgoingMigration;
    const entry = this.#open(id, { machine, direction: "outgoing", peer });
    try {
      migration = this.#outgoing({
        migrationId: id,
        machine: handle.native,
        destination,
        settings: settings ?? migrationSettingsSchema.parse({}),
        folder,
      });
    } catch (error) {
      this.#entries.delete(id);
      rmSync(folder, { recursive: true, force: true });
      void this.#registry.settle(machine, { as: "here" });
      throw error;
    }
    entry.outgoing = migration;
    this.#listen(entry, migration);
    entry.done = this.#runOutgoing(entry, migration);
    return this.#info(entry);
  }

  /**
   * Lists a migration to here for as long as `work` runs, and how it ended afterwards. `work` settles the VM itself.
   * @throws GodwitError `GODWIT_MIGRATION_ID` for an id that is known or unsafe
   */
  async receive(
    id: string,
    machine: string,
    peer: string,
    work: (folder: string, watch: (migration: EventSource & Cancellable) => void) => Promise<Outcome>,
  ): Promise<void> {
    this.#refuseWhenClosing();
    if (!migrationIdPattern.test(id) || this.#entries.has(id) || existsSync(this.folderOf(id))) {
      throw new GodwitError("GODWIT_MIGRATION_ID", "the migration's id is not usable here", {
        side: "destination",
        advice: "begin a new migration",
      });
    }
    const entry = this.#open(id, { machine, direction: "incoming", peer });
    const run = work(this.folderOf(id), (migration) => {
      entry.incoming = migration;
      this.#listen(entry, migration);
    });
    entry.done = run.then(
      () => {},
      () => {},
    );
    let outcome: Outcome = "failed";
    try {
      outcome = await run;
    } finally {
      entry.active = false;
      entry.incoming = null;
      this.#writeCard(entry, { ...entry.card, outcome });
    }
  }

  /** Notes how a migration of an earlier agent came out, where it has no report of its own. */
  conclude(id: string, outcome: Outcome): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#writeCard(entry, { ...entry.card, outcome });
  }

  /** Where the recovery of a migration of an earlier agent hears what an operator decides. */
  operatorOf(id: string): OperatorWord {
    const doubt = { operator: new OperatorWord(), ended: Promise.withResolvers<void>() };
    doubt.ended.promise.catch(() => {});
    this.#doubts.set(id, doubt);
    return doubt.operator;
  }

  /**
   * Nobody is asked any more about a migration of an earlier agent, and its VM is settled.
   * @param failure why it could not be settled; the journal has it for the next agent
   */
  endDoubt(id: string, failure?: unknown): void {
    const ended = this.#doubts.get(id)?.ended;
    this.#doubts.delete(id);
    if (failure === undefined) ended?.resolve();
    else ended?.reject(failure);
  }

  /**
   * Ends a doubt by an operator's word. Returns when the VM is settled.
   * @throws GodwitError `GODWIT_NOT_IN_DOUBT`, `GODWIT_NOT_SOURCE`, `GODWIT_MIGRATION_UNKNOWN`
   */
  async resolve(id: string, owner: OwnerName): Promise<MigrationInfo> {
    const entry = this.#entry(id);
    if (entry.card.direction === "incoming") throw notSource("decide", entry.card.peer);
    const doubt = this.#doubts.get(id);
    if (entry.outgoing !== null) {
      entry.outgoing.decide(owner);
      await entry.done;
    } else if (doubt !== undefined) {
      doubt.operator.give(owner);
      await doubt.ended.promise;
    } else {
      await this.#giveUpPages(entry, owner);
    }
    this.#log.warn({ migration: id, vm: entry.card.machine, owner }, "an operator decided who has a VM");
    return this.#info(entry);
  }

  /** Ends the QEMU that kept pages for a destination that will not ask for them any more. */
  async #giveUpPages({ id, card }: Entry, owner: OwnerName): Promise<void> {
    const folder = this.folderOf(id);
    const { state } = existsSync(join(folder, "journal.jsonl")) ? Journal.read(folder) : { state: "none" };
    if (state !== "serving" || this.#registry.stateOf(card.machine) !== "in-doubt") {
      throw notInDoubt("the migration has ended");
    }
    if (owner === "here") {
      throw notInDoubt("the destination has run the guest, what is here is older").now({
        advice: "bring the destination back, or give the guest's pages up with --there",
      });
    }
    const journal = Journal.reopen(folder);
    try {
      journal.append("handed-over", "an operator gave up the pages that are here");
      await this.#registry.endDeparted(card.machine, card.peer);
      journal.append("released");
    } finally {
      journal.close();
    }
    this.conclude(id, "completed");
  }

  /** Asks a migration to stop before its commit. */
  async cancel(id: string, reason: string): Promise<"cancelled" | "too-late"> {
    const entry = this.#entry(id);
    if (!entry.active) {
      throw new GodwitError("GODWIT_MIGRATION_OVER", `migration ${id} has ended already`, {
        advice: "read its report with `godwit migrations`",
      });
    }
    if (entry.outgoing === null) {
      throw notSource("cancel a migration", entry.card.peer);
    }
    return await entry.outgoing.cancel(reason);
  }

  /**
   * Cancels what has not reached its commit and waits for every migration to end, at most `graceMs`. What is
   * beyond the commit is left to the recovery of the next agent.
   */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    const active = [...this.#entries.values()].filter((entry) => entry.active);
    for (const { outgoing, incoming, id } of active) {
      incoming?.cancel("the destination's agent is ending");
      outgoing?.stopAsking();
      outgoing?.cancel("the agent is ending").catch((error) => {
        this.#log.warn({ migration: id, err: error }, "a migration could not be cancelled");
      });
    }
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, graceMs);
    await Promise.race([Promise.allSettled(active.map(({ done }) => done)), late]);
    clearTimeout(timer);
  }

  async #runOutgoing(entry: Entry, migration: OutgoingMigration): Promise<void> {
    const { machine, peer } = entry.card;
    const log = this.#log.child({ migration: entry.id, vm: machine });
    log.info({ peer }, "migration begins");
    try {
      const report = await migration.run();
      log.info({ outcome: report.outcome, error: report.error }, "migration ended");
      if (report.outcome === "completed") {
        await this.#registry.settle(machine, { as: "departed", movedTo: peer });
      } else if (report.outcome === "in-doubt" || report.outcome === "paused") {
        await this.#registry.settle(machine, {
          as: "in-doubt",
          reason: report.error?.message ?? "the link went between commit and its answer",
        });
      } else {
        await this.#registry.settle(machine, {
          as: "here",
          ...(report.error === null
            ? {}
            : { reason: `migration ${report.outcome}: ${report.error.message}` }),
        });
      }
    } catch (error) {
      log.error({ err: error }, "a migration broke the rule that it never rejects");
      await this.#registry.settle(machine, { as: "here", reason: String(error) }).catch(() => {});
    } finally {
      entry.active = false;
      entry.outgoing = null;
    }
  }

  #listen(entry: Entry, source: EventSource): void {
    source.onEvent((event) => {
      if (event.type === "phase" || event.type === "progress") entry.phase = event.phase;
    });
  }

  #open(id: string, card: Omit<MigrationCard, "startedAt">): Entry {
    const entry: Entry = {
      id,
      card: { ...card, startedAt: new Date().toISOString() },
      phase: null,
      active: true,
      report: null,
      outgoing: null,
      incoming: null,
      done: Promise.resolve(),
    };
    mkdirSync(this.folderOf(id), { recursive: true, mode: 0o700 });
    this.#writeCard(entry, entry.card);
    this.#entries.set(id, entry);
    return entry;
  }

  #writeCard(entry: Entry, card: MigrationCard): void {
    entry.card = card;
    writeCard(this.folderOf(entry.id), card);
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry !== undefined) return entry;
    throw new GodwitError("GODWIT_MIGRATION_UNKNOWN", `no migration ${id} on this host`, {
      advice: "list them with `godwit migrations`",
    });
  }

  #info(entry: Entry): MigrationInfo {
    const report = entry.active ? null : this.#report(entry);
    return {
      id: entry.id,
      ...entry.card,
      active: entry.active,
      phase: report === null ? entry.phase : phaseOf(report),
      outcome: settledOutcome(report, entry.card),
    };
  }

  #report(entry: Entry): MigrationReport | null {
    if (entry.report !== null && entry.report.outcome !== "in-doubt") return entry.report;
    try {
      const text = readFileSync(join(this.folderOf(entry.id), REPORT_FILE), "utf8");
      entry.report = reportSchema.parse(JSON.parse(text));
    } catch {
      entry.report = null;
    }
    return entry.report;
  }

  #refuseWhenClosing(): void {
    if (!this.#closing) return;
    throw new GodwitError("GODWIT_AGENT_ENDING", "the agent is ending", {
      advice: "try again when it is back",
    });
  }
}

function notSource(what: string, source: string): GodwitError {
  return new GodwitError("GODWIT_NOT_SOURCE", `only the source's agent can ${what}`, {
    side: "destination",
    advice: `ask the agent of ${source}`,
  });
}
