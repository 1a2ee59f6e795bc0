import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DEFAULT_WIRE_PORT } from "../agent/config.ts";
import type { MachineInfo } from "../agent/schemas.ts";
import { asGodwitError, type ErrorRecord, GodwitError } from "../base/errors.ts";
import type { MigrationEvent } from "../migration/events.ts";
import type { MigrationReport } from "../migration/report.ts";
import type { MigrationSettingsInput } from "../migration/settings.ts";
import { channelSocket } from "../qemu/state-paths.ts";
import { type Engine, type EngineMove, type MoveOptions, noFigures } from "./engine.ts";
import type { LabHost } from "./host.ts";
import type { Hosts } from "./hosts.ts";
import type { LabAgent, LabAgents } from "./lab-agent.ts";

/** The destination's agent lists the VM when its own part is done, milliseconds after the source's report. */
const ARRIVAL_TIMEOUT_MS = 10_000;

/** What Godwit is told. */
export interface GodwitEngineOptions {
  readonly hosts: Hosts;
  readonly agents: LabAgents;
  /** The guest, as YAML. Its first channel is the control channel. */
  readonly machineFile: string;
  readonly settings: MigrationSettingsInput;
  /** A move that takes longer is cancelled; null: never. */
  readonly giveUpMs: number | null;
}

/** Godwit as its users have it: two agents, spoken to over their API. */
export class GodwitEngine implements Engine {
  readonly name = "godwit";
  readonly #options: GodwitEngineOptions;
  #where: LabHost;
  #machine: MachineInfo;

  private constructor(options: GodwitEngineOptions, machine: MachineInfo) {
    this.#options = options;
    this.#where = options.hosts.a;
    this.#machine = machine;
  }

  /** Starts the guest on host a. @throws GodwitError the agent's */
  static async start(options: GodwitEngineOptions): Promise<GodwitEngine> {
    const machine = await options.agents.a.client.startMachine(options.machineFile);
    return new GodwitEngine(options, machine);
  }

  get where(): LabHost {
    return this.#where;
  }

  get controlPath(): string {
    return channelSocket(this.#folder, 0);
  }

  /** What the guest says on its first serial port. */
  get consolePath(): string {
    return `${this.#folder}/serial.log`;
  }

  get qemuVersion(): string {
    return this.#machine.qemuVersion ?? "unknown";
  }

  get logPaths(): readonly string[] {
    const { a, b } = this.#options.agents;
    return [this.#machine.logPath, `${this.#folder}/serial.log`, a.logPath, b.logPath].filter(
      (path) => path !== null,
    );
  }

  async move(options: MoveOptions = {}): Promise<EngineMove> {
    const { hosts, agents, settings, giveUpMs } = this.#options;
    const source = agents.of(this.#where);
    const destinationHost = hosts.peerOf(this.#where);
    const destination = agents.of(destinationHost);
    const beginMs = Date.now();
    let switchoverAtMs: number | null = null;
    const onEvent = (event: MigrationEvent) => {
      if (event.type === "phase" && event.phase === "switchover") switchoverAtMs = beginMs + event.atMs;
      options.onEvent?.(event);
    };
    try {
      const report = await follow({
        ...{
          source,
          destination,
          from: this.#where,
          settings,
          machine: this.#machine.name,
          onEvent,
          giveUpMs,
        },
        ...signalOf(options),
      });
      if (report.outcome === "completed") {
        this.#machine = await machineAt(destination, this.#machine.name, signalOf(options));
        this.#where = destinationHost;
      }
      const { sourceCpuSeconds: sourceSeconds, destinationCpuSeconds: destinationSeconds } = report.agents;
      const cpu = { sourceSeconds, destinationSeconds };
      const {
        outcome,
        totalMs,
        liveMs,
        setupMs,
        downtimeMs,
        downtime,
        pages,
        freePages,
        postcopy,
        rounds,
        sourceEnded,
      } = report;
      const error = report.error as ErrorRecord | null;
      const times = { totalMs, liveMs, setupMs, downtimeMs, downtime, switchoverAtMs };
      const stalledMs = postcopy?.stalledMs ?? null;
      return { outcome, ...times, pages, freePages, postcopy, stalledMs, rounds, sourceEnded, cpu, error };
    } catch (error) {
      if (options.signal?.aborted === true) throw error;
      return { outcome: "failed", ...noFigures, error: asGodwitError(error, "GODWIT_LAB_MOVE").toJSON() };
    }
  }

  /** Its QEMUs end with the agents, which are others'. */
  async [Symbol.asyncDispose](): Promise<void> {}

  get #folder(): string {
    return dirname(this.#machine.logPath ?? "/nowhere/qemu.log");
  }
}

/** The VM at its new host, whose agent may take a moment longer than the source's to put it on its list. */
async function machineAt(
  agent: LabAgent,
  name: string,
  options: { signal?: AbortSignal },
): Promise<MachineInfo> {
  const deadline = performance.now() + ARRIVAL_TIMEOUT_MS;
  for (;;) {
    const machine = await agent.client.machine(name, options).catch((error: unknown) => {
      options.signal?.throwIfAborted();
      if (performance.now() > deadline) throw error;
      return null;
    });
    if (machine?.logPath != null || (machine !== null && performance.now() > deadline)) return machine;
    await delay(50, undefined, options);
  }
}

async function follow(move: {
  source: LabAgent;
  destination: LabAgent;
  from: LabHost;
  settings: MigrationSettingsInput;
  machine: string;
  giveUpMs: number | null;
  onEvent(event: MigrationEvent): void;
  signal?: AbortSignal;
}): Promise<MigrationReport> {
  const { source, destination, from, settings, machine, giveUpMs, onEvent, signal } = move;
  const { id } = await source.client.migrate(
    {
      machine,
      destination: { host: from.peerAddress, port: DEFAULT_WIRE_PORT, name: destination.name },
      settings,
    },
    signalOf(move),
  );
  // After the commit it is too late, and the move goes on to its end.
  const giveUp = () => source.client.cancel(id).catch(() => {});
  const timer = giveUpMs === null ? null : setTimeout(giveUp, giveUpMs);
  try {
    for await (const event of source.client.events(id, signalOf(move))) {
      onEvent(event);
      if (event.type === "report") return event.report;
    }
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
  signal?.throwIfAborted();
  throw new GodwitError("GODWIT_LAB_MOVE", `the events of migration ${id} ended without a report`, {
    side: "source",
    advice: `see ${source.logPath}`,
  });
}

function signalOf(options: { signal?: AbortSignal }): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal };
}
