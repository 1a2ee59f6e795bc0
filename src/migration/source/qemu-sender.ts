import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../../base/errors.ts";
import { waiting } from "../../base/waiting.ts";
import { migrationSupport } from "../../qemu/capabilities.ts";
import { QmpCommandError } from "../../qemu/qmp-errors.ts";
import { isEvent, type MigrationStatus } from "../../qemu/qmp-events.ts";
import type { RunningMachine } from "../../qemu/running-machine.ts";

/** Until the strategy wants the stop QEMU shall find no reason for one; 0 would complete right after the bulk pass. */
const RELUCTANT_DOWNTIME_LIMIT_MS = 1;

/** Faster than any memory: our own reading is the only brake. QEMU takes no value above 2^63-1. */
const UNLIMITED_BANDWIDTH = 1e15;

/** What makes QEMU wait for a word before the switchover; the second doesn't go without the first. */
const ACKNOWLEDGEMENT = ["return-path", "switchover-ack"];

/** QEMU connects at once; it may be in the middle of a long dirty sync of an earlier attempt. */
const CONNECT_TIMEOUT_MS = 30_000;

/** How long QEMU may take to wind down a migration: it has to leave its current iteration and close files. */
const SETTLE_TIMEOUT_MS = 30_000;

/** A destination that lost us ends its QEMU within the time that a silent link is borne, 10 s, and some. */
const LOCKS_TIMEOUT_MS = 20_000;

const LOCKS_POLL_MS = 200;

/** Migration states in which nothing is under way. */
const SETTLED: ReadonlySet<MigrationStatus> = new Set(["none", "cancelled", "completed", "failed"]);

/** QEMU's own figures of its migration. */
export interface SenderFigures {
  /** Dirty syncs so far. */
  readonly rounds: number;
  /** Pages dirty at the last sync that it has not listed. */
  readonly unlistedPages: number;
  readonly dirtyPagesPerSecond: number;
  readonly status: MigrationStatus;
}

/** The sending side of a QEMU: starts its migration into a socket of ours, triggers its stop, and winds it down. */
export class QemuSender {
  readonly #machine: RunningMachine;
  readonly #path: string;
  #before: Readonly<Record<string, unknown>> | null = null;
  #switchedOff: readonly string[] = [];
  #switchedOn: readonly string[] = [];
  #started = false;
  #takesRate = false;
  #waits = false;

  constructor(machine: RunningMachine) {
    this.#machine = machine;
    this.#path = join(machine.folder, "out.sock");
  }

  /**
   * Whether QEMU stops the guest only after a word on its return path, and ends only after another (8.1 and later);
   * known after {@link prepare}.
   */
  get waitsForAcknowledgement(): boolean {
    return this.#waits;
  }

  /** Whether the guest runs now. */
  async guestRuns(signal?: AbortSignal): Promise<boolean> {
    return (await this.#machine.qmp.execute("query-status", {}, { signal })).running;
  }

  /**
   * Sets QEMU up for a plain stream; what it had before is put back by {@link restore}.
   * @param pauses have QEMU wait for `migrate-continue` when it has stopped the guest and saved nothing yet
   */
  async prepare(signal: AbortSignal, pauses = false): Promise<void> {
    const { qmp } = this.#machine;
    const { capabilities, enabled, parameters: known } = await migrationSupport(qmp, { signal });
    this.#takesRate = known.has("avail-switchover-bandwidth");
    this.#waits = ACKNOWLEDGEMENT.every((capability) => capabilities.has(capability));
    const wanted = [
      ...["events", ...(this.#waits ? ACKNOWLEDGEMENT : [])],
      ...(pauses ? ["pause-before-switchover"] : []),
    ];
    this.#switchedOff = [...enabled].filter((capability) => !wanted.includes(capability));
    this.#switchedOn = wanted.filter((capability) => capability !== "events" && !enabled.has(capability));
    await qmp.execute(
      "migrate-set-capabilities",
      {
        capabilities: [
          ...this.#switchedOff.map((capability) => ({ capability, state: false })),
          ...wanted.map((capability) => ({ capability, state: true })),
        ],
      },
      { signal },
    );
    const parameters = await qmp.execute("query-migrate-parameters", {}, { signal });
    this.#before = {
      "max-bandwidth": parameters["max-bandwidth"],
      "downtime-limit": parameters["downtime-limit"],
      ...(this.#takesRate
        ? { "avail-switchover-bandwidth": parameters["avail-switchover-bandwidth"] ?? 0 }
        : {}),
    };
    await qmp.execute(
      "migrate-set-parameters",
      { "max-bandwidth": UNLIMITED_BANDWIDTH, "downtime-limit": RELUCTANT_DOWNTIME_LIMIT_MS },
      { signal },
    );
  }

  /** Starts the migration; gives the socket that QEMU's stream comes from, not read yet. */
  async start(signal: AbortSignal): Promise<Socket> {
    rmSync(this.#path, { force: true });
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    try {
      const connection = new Promise<Socket>((resolve, reject) => {
        server.once("connection", resolve);
        server.once("error", reject);
      });
      connection.catch(() => {});
      await listen(server, this.#path);
      this.#started = true;
      await this.#machine.qmp.execute("migrate", { uri: `unix:${this.#path}` }, { signal });
      return await waiting(connection, { signal, timeoutMs: CONNECT_TIMEOUT_MS }, () => {
        return new GodwitError("GODWIT_QEMU_SILENT", "QEMU was told to migrate but did not connect", {
          side: "source",
          advice: `see QEMU's log ${this.#machine.logPath}`,
        });
      });
    } finally {
      server.close();
      rmSync(this.#path, { force: true });
    }
  }

  /**
   * Lets QEMU stop the guest as soon as what it still has to list takes no longer than `downtimeMs`: at the given
   * rate where this QEMU can be told one, otherwise at the rate it sees, which the gate makes about the same.
   */
  async permitStop(downtimeMs: number, bytesPerSecond: number, signal: AbortSignal): Promise<void> {
    const rate = this.#takesRate ? { "avail-switchover-bandwidth": Math.round(bytesPerSecond) } : {};
    await this.#machine.qmp.execute(
      "migrate-set-parameters",
      { "downtime-limit": Math.ceil(downtimeMs), ...rate },
      { signal },
    );
  }

  async figures(signal: AbortSignal): Promise<SenderFigures> {
    const { ram, status } = await this.#machine.qmp.execute("query-migrate", {}, { signal });
    return {
      rounds: ram?.["dirty-sync-count"] ?? 0,
      unlistedPages: Math.ceil((ram?.remaining ?? 0) / 4096),
      dirtyPagesPerSecond: ram?.["dirty-pages-rate"] ?? 0,
      status: (status ?? "none") as MigrationStatus,
    };
  }

  /** Resolves when QEMU has written its whole stream and closed its files: the guest is stopped and nobody's. */
  async completed(signal: AbortSignal): Promise<void> {
    const status = await this.#settled({ signal });
    if (status !== "completed") {
      throw new GodwitError("GODWIT_QEMU_MIGRATION", `QEMU ended its migration as ${status}`, {
        side: "source",
        advice: `see QEMU's log ${this.#machine.logPath}`,
      });
    }
  }

  /**
   * Winds down whatever QEMU is doing and brings the guest back to running, unless its owner had paused it.
   * The socket must have been closed before: a QEMU that waits in a write notices nothing else.
   * @param whose whether this object started the migration, or an agent that has ended since
   * @param destinationHasDisks the destination may hold the disks' locks until its QEMU has ended: wait for them
   */
  async rollBack(
    guestWasPaused: boolean,
    whose: "own" | "an earlier agent's",
    destinationHasDisks: boolean,
  ): Promise<void> {
    const { qmp } = this.#machine;
    if (this.#started || whose !== "own") {
      await qmp.execute("migrate_cancel").catch(() => {});
      await this.#settled({ timeoutMs: SETTLE_TIMEOUT_MS });
    }
    await this.restore();
    if (!guestWasPaused && !(await this.guestRuns())) {
      await this.#continue(destinationHasDisks ? LOCKS_TIMEOUT_MS : 0);
    }
    // The other side's QEMU may have announced the guest's addresses there already.
    await qmp.execute("announce-self", { initial: 50, max: 550, rounds: 5, step: 100 }).catch(() => {});
  }

  async #continue(locksTimeoutMs: number): Promise<void> {
    const { qmp } = this.#machine;
    const endMs = performance.now() + locksTimeoutMs;
    for (;;) {
      try {
        await qmp.execute("cont");
        return;
      } catch (thrown) {
        const locked = thrown instanceof QmpCommandError && /lock/i.test(thrown.message);
        if (!locked || performance.now() > endMs) throw thrown;
        await sleep(LOCKS_POLL_MS);
      }
    }
  }

  /** Puts capabilities and parameters back. */
  async restore(): Promise<void> {
    const { qmp } = this.#machine;
    if (this.#before === null) return;
    await qmp.execute("migrate-set-parameters", this.#before);
    const capabilities = [
      ...this.#switchedOn.map((capability) => ({ capability, state: false })),
      ...this.#switchedOff.map((capability) => ({ capability, state: true })),
    ];
    if (capabilities.length > 0) {
      await qmp.execute("migrate-set-capabilities", { capabilities });
    }
    this.#before = null;
  }

  async #settled(options: { signal?: AbortSignal; timeoutMs?: number }): Promise<MigrationStatus> {
    const { qmp } = this.#machine;
    const known = new AbortController();
    const signal =
      options.signal === undefined ? known.signal : AbortSignal.any([options.signal, known.signal]);
    const ended = qmp.waitForEvent((event) => isEvent(event, "MIGRATION") && SETTLED.has(event.data.status), {
      ...options,
      signal,
    });
    const { status = "none" } = await qmp.execute("query-migrate", {}, options);
    if (SETTLED.has(status as MigrationStatus)) {
      known.abort();
      return status as MigrationStatus;
    }
    const event = await ended;
    return (event.data as { status: MigrationStatus }).status;
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new GodwitError("GODWIT_SOCKET_PATH", `can't listen on ${path}: ${error.message}`, {
          side: "source",
          cause: error,
        }),
      ),
    );
    server.listen(path, resolve);
  });
}
