import { chmodSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import {
  formatVersion,
  isEvent,
  type Machine,
  type MigrationInfo,
  type QmpEvent,
  type RunningMachine,
  startMachine,
} from "../qemu/index.ts";
import { inflateBalloon } from "./balloon.ts";
import { type Engine, type EngineMove, type MoveOptions, noFigures } from "./engine.ts";
import type { LabHost } from "./host.ts";
import type { Hosts } from "./hosts.ts";
import { CONTROL_CHANNEL } from "./lab-machine.ts";
import { QEMU_MIGRATION_PORT } from "./lab-ports.ts";
import type { QemuStrategy } from "./lab-settings.ts";
import type { RunFolder } from "./run-folder.ts";

/** What the baseline is told. */
export interface QemuEngineOptions {
  readonly hosts: Hosts;
  readonly folder: RunFolder;
  readonly machine: Machine;
  /** The QEMU binary. */
  readonly binary: string;
  readonly downtimeLimitMs: number;
  /** Bytes per second; null for as fast as the link goes. */
  readonly bandwidthBytesPerSecond: number | null;
  /** `post-copy`: switched to as soon as the migration is active. `stop-and-copy`: the guest is stopped before it. */
  readonly strategy: QemuStrategy;
  /** A move that takes longer is cancelled and has failed; null: {@link MOVE_TIMEOUT_MS}. */
  readonly giveUpMs: number | null;
  /** The guest gives back all memory above this first, which counts as part of the move; null: it doesn't. */
  readonly inflateToBytes: number | null;
  /** Switched on on both sides. */
  readonly capabilities: readonly string[];
  /** Set on both sides, QEMU's names and units. */
  readonly parameters: Readonly<Record<string, string | number>>;
  readonly signal?: AbortSignal;
}

/**
 * What "as fast as the link goes" is to QEMU. Its own default is 128 MiB/s, which would be a cap below some of the
 * links here; this is 1 Tbit/s.
 */
const UNLIMITED_BYTES_PER_SECOND = 125e9;

/** A guest that dirties faster than the link carries never converges: then the move is cancelled and has failed. */
const MOVE_TIMEOUT_MS = 300_000;

/** How often QEMU is asked how far it is. */
const PROGRESS_MS = 250;

const PAGE_BYTES = 4096;

/** The most that QEMU takes; with its default of 512 a working set of 16 MiB is eight samples. */
const DIRTY_RATE_SAMPLES_PER_GIB = 16_384;

/** The second has the destination count how long its vCPUs wait for pages. */
const POSTCOPY_CAPABILITIES = ["postcopy-ram", "postcopy-blocktime"];

/** MiB a second, absent until it is measured. */
const dirtyRateSchema = z.looseObject({ "dirty-rate": z.number().nonnegative().optional() });

/**
 * The baseline: stock QEMU sends straight to stock QEMU over the same link, as anybody would do it today. Nothing
 * of Godwit is in the way; only the measuring is the same.
 */
export class QemuEngine implements Engine {
  readonly name = "qemu";
  readonly #options: QemuEngineOptions;
  #where: LabHost;
  #running: RunningMachine;
  #serial = 0;
  readonly #all: RunningMachine[] = [];

  private constructor(options: QemuEngineOptions, where: LabHost) {
    this.#options = options;
    this.#where = where;
    this.#running = undefined as never;
  }

  /** Starts the guest on host a. @throws GodwitError as `startMachine` does */
  static async start(options: QemuEngineOptions): Promise<QemuEngine> {
    const engine = new QemuEngine(options, options.hosts.a);
    engine.#running = await engine.#startOn(options.hosts.a, {});
    return engine;
  }

  get where(): LabHost {
    return this.#where;
  }

  get controlPath(): string {
    return this.#running.channelPath(CONTROL_CHANNEL);
  }

  get qemuVersion(): string {
    return formatVersion(this.#running.version);
  }

  get logPaths(): readonly string[] {
    return [this.#running.logPath, this.#running.serialLogPath];
  }

  async move(options: MoveOptions = {}): Promise<EngineMove> {
    const { hosts } = this.#options;
    const source = this.#running;
    const destinationHost = hosts.peerOf(this.#where);
    let destination: RunningMachine | null = null;
    try {
      destination = await this.#startOn(destinationHost, { incoming: "defer" });
      await this.#prepare(source);
      await this.#prepare(destination);
      await destination.qmp.execute("migrate-incoming", {
        uri: `tcp:${destinationHost.address}:${QEMU_MIGRATION_PORT}`,
      });
      const move = await this.#send(source, destination, options);
      await source.quit();
      this.#running = destination;
      this.#where = destinationHost;
      return move;
    } catch (error) {
      if (options.signal?.aborted === true) throw error;
      await destination?.kill().catch(() => {});
      const record = asGodwitError(error, "GODWIT_LAB_QEMU_MOVE").toJSON();
      return { outcome: "failed", ...noFigures, error: record };
    }
  }

  /** Ends every QEMU that it started. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((machine) => (machine.runs ? machine.kill() : machine.release())));
  }

  async #send(
    source: RunningMachine,
    destination: RunningMachine,
    options: MoveOptions,
  ): Promise<EngineMove> {
    const giveUpMs = this.#options.giveUpMs ?? MOVE_TIMEOUT_MS;
    const gaveUp = AbortSignal.timeout(giveUpMs);
    const signal = AbortSignal.any([gaveUp, ...(options.signal === undefined ? [] : [options.signal])]);
    const stopped = source.qmp.waitForEvent("STOP", { signal });
    const resumed = destination.qmp.waitForEvent("RESUME", { signal });
    const ended = source.qmp.waitForEvent(hasEnded, { signal });
    const arrived = destination.qmp.waitForEvent(hasEnded, { signal });
    for (const waiting of [stopped, resumed, ended, arrived]) waiting.catch(() => {});
    const { strategy } = this.#options;
    const begin = Date.now();
    let asking = false;
    const progress = setInterval(async () => {
      if (asking) return;
      asking = true;
      await this.#tell(source, begin, options);
      asking = false;
    }, PROGRESS_MS);
    try {
      if (this.#options.inflateToBytes !== null) {
        await inflateBalloon(source, this.#options.inflateToBytes, signal);
      }
      const isActive = source.qmp.waitForEvent(
        (event) => isEvent(event, "MIGRATION") && event.data.status === "active",
        { signal },
      );
      isActive.catch(() => {});
      if (strategy === "stop-and-copy") await source.qmp.execute("stop");
      await source.qmp.execute("migrate", { uri: `tcp:${this.#where.peerAddress}:${QEMU_MIGRATION_PORT}` });
      if (strategy === "post-copy") {
        await isActive;
        await source.qmp.execute("migrate-start-postcopy");
      }
      await ended;
      const info = await source.qmp.execute("query-migrate");
      if (info.status !== "completed") {
        throw new GodwitError(
          "GODWIT_LAB_QEMU_MOVE",
          `QEMU's migration ended ${info.status}: ${info["error-desc"] ?? ""}`,
          {
            side: "source",
            vmState: "running at the source",
          },
        );
      }
      if (strategy === "stop-and-copy") {
        // A guest that was stopped arrives stopped; `cont` before it has arrived is forgotten.
        await arrived;
        await destination.qmp.execute("cont");
      }
      const [stop, resume, completed] = await Promise.all([stopped, resumed, ended]);
      const endMs = Math.max(resume.timestampMs, completed.timestampMs);
      const setupMs = info["setup-time"] ?? 0;
      return {
        outcome: "completed",
        totalMs: endMs - begin,
        liveMs: Math.max(0, stop.timestampMs - begin - setupMs),
        setupMs,
        downtimeMs: resume.timestampMs - stop.timestampMs,
        downtime: null,
        switchoverAtMs: stop.timestampMs,
        pages: pagesOf(info),
        freePages: null,
        postcopy: null,
        stalledMs: strategy === "post-copy" ? await blockedMs(destination, arrived) : null,
        rounds: info.ram?.["dirty-sync-count"] ?? 0,
        sourceEnded: true,
        cpu: { sourceSeconds: null, destinationSeconds: null },
        error: null,
      };
    } catch (error) {
      await source.qmp.execute("migrate_cancel").catch(() => {});
      if (strategy === "stop-and-copy") await source.qmp.execute("cont").catch(() => {});
      if (gaveUp.aborted) {
        throw new GodwitError("GODWIT_LAB_QEMU_MOVE", `QEMU's migration was not done after ${giveUpMs} ms`, {
          side: "source",
          vmState: "running at the source",
          cause: error,
        });
      }
      throw error;
    } finally {
      clearInterval(progress);
    }
  }

  /**
   * The guest's dirty rate as QEMU measures it by sampling: which of its pages change within a second. The other modes
   * of `calc-dirty-rate` end QEMU 7.2 under TCG.
   */
  async dirtyBytesPerSecond(signal?: AbortSignal): Promise<number> {
    const { qmp } = this.#running;
    const samples = { "calc-time": 1, "sample-pages": DIRTY_RATE_SAMPLES_PER_GIB };
    await qmp.execute("calc-dirty-rate", { mode: "page-sampling", ...samples });
    for (;;) {
      await delay(PROGRESS_MS, undefined, signal === undefined ? {} : { signal });
      const answer = dirtyRateSchema.parse(await qmp.execute("query-dirty-rate"));
      if (answer["dirty-rate"] !== undefined) return answer["dirty-rate"] * 1024 ** 2;
    }
  }

  async #prepare(machine: RunningMachine): Promise<void> {
    const { capabilities, parameters, downtimeLimitMs, bandwidthBytesPerSecond, strategy } = this.#options;
    const wanted = ["events", ...(strategy === "post-copy" ? POSTCOPY_CAPABILITIES : []), ...capabilities];
    await machine.qmp.execute("migrate-set-capabilities", {
      capabilities: wanted.map((capability) => ({ capability, state: true })),
    });
    await machine.qmp.execute("migrate-set-parameters", {
      "downtime-limit": Math.round(downtimeLimitMs),
      "max-bandwidth": bandwidthBytesPerSecond ?? UNLIMITED_BYTES_PER_SECOND,
      ...parameters,
    });
  }

  async #startOn(host: LabHost, more: { incoming?: "defer" }): Promise<RunningMachine> {
    const { machine, folder, signal } = this.#options;
    this.#serial += 1;
    const started = await startMachine(machine, {
      stateFolder: folder.inside(`q${this.#serial}`),
      qemu: this.#binaryOn(host),
      ...more,
      ...(signal === undefined ? {} : { signal }),
    });
    this.#all.push(started);
    return started;
  }

  /** QEMU as a program that runs in the host's place: `startMachine` knows nothing of namespaces. */
  #binaryOn(host: LabHost): string {
    const path = this.#options.folder.inside(`qemu-${host.name}`);
    const { command, args } = host.wrap(this.#options.binary, []);
    const words = [command, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    writeFileSync(path, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`);
    chmodSync(path, 0o700);
    return path;
  }

  async #tell(source: RunningMachine, begin: number, options: MoveOptions): Promise<void> {
    if (options.onEvent === undefined) return;
    const info = await source.qmp.execute("query-migrate").catch(() => null);
    const ram = info?.ram;
    if (ram === undefined) return;
    const pages = pagesOf(info as MigrationInfo);
    options.onEvent({
      type: "progress",
      atMs: Date.now() - begin,
      migrationId: "qemu",
      phase: "live",
      owedPages: Math.round(ram.remaining / PAGE_BYTES),
      totalPages: pages.total,
      sentPages: pages.sent,
      bytesOnWire: ram.transferred,
      wireBytesPerSecond: (ram.mbps * 1e6) / 8,
      pagesPerSecond: 0,
      dirtyPagesPerSecond: ram["dirty-pages-rate"],
      rounds: ram["dirty-sync-count"],
      faultedPages: ram["postcopy-requests"],
      leftMs: null,
      leftReason: "stock QEMU gives no estimate",
    });
  }
}

/** How long the vCPUs stood for pages, known once the destination has them all; null where its kernel can't tell it. */
async function blockedMs({ qmp }: RunningMachine, arrived: Promise<QmpEvent>): Promise<number | null> {
  await arrived;
  return (await qmp.execute("query-migrate"))["postcopy-blocktime"] ?? null;
}

function hasEnded(event: QmpEvent): boolean {
  return isEvent(event, "MIGRATION") && ["completed", "failed", "cancelled"].includes(event.data.status);
}

function pagesOf(info: MigrationInfo): EngineMove["pages"] {
  const { ram } = info;
  if (ram === undefined) return noFigures.pages;
  const total = Math.round(ram.total / PAGE_BYTES);
  return {
    total,
    sent: ram.normal,
    differences: 0,
    resent: Math.max(0, ram.normal + ram.duplicate - total),
    zero: ram.duplicate,
    free: 0,
    faulted: ram["postcopy-requests"],
  };
}
