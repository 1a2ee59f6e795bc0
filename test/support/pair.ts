import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { verdictOf } from "../../src/agent/verdict.ts";
import { type QemuVersion, qemuBuild } from "../../src/lab/toolchain.ts";
import { BareMetalRebuild } from "../../src/metal/index.ts";
import { DestinationMigration, type DestinationResult } from "../../src/migration/destination.ts";
import type { RebuildDevices } from "../../src/migration/opaque-devices.ts";
import { type MigrationSettingsInput, migrationSettingsSchema } from "../../src/migration/settings.ts";
import { SourceMigration, type SourceOptions } from "../../src/migration/source.ts";
import { adoptMachine } from "../../src/qemu/adopt.ts";
import { type Machine, parseMachine } from "../../src/qemu/machine.ts";
import type { RunningMachine } from "../../src/qemu/running-machine.ts";
import { startMachine } from "../../src/qemu/start.ts";
import {
  type ControlChannel,
  type Credentials,
  listenControl,
  type SecureListener,
} from "../../src/wire/index.ts";
import { createAuthority, issueHost } from "../../src/wire/pki/index.ts";

/** One of two hosts, without the daemon around it: listens on the wire and takes what is offered. */
export class Host {
  readonly name: string;
  readonly folder: string;
  readonly credentials: Credentials;
  readonly #pair: Pair;
  readonly #incoming: ((result: DestinationResult) => void)[] = [];
  #listener: SecureListener | null = null;
  /** What is started for an incoming machine, where that is not the machine itself. */
  startsAs: (machine: Machine) => Machine = (machine) => machine;
  /** Stands between an incoming migration and the one that rebuilds its devices. */
  rebuilds: (machine: RunningMachine, rebuild: RebuildDevices) => RebuildDevices = (_, rebuild) => rebuild;
  /** Called with each incoming migration before it runs. */
  onIncoming: (migration: DestinationMigration, channel: ControlChannel) => void = () => {};

  constructor(pair: Pair, name: string, credentials: Credentials) {
    this.#pair = pair;
    this.name = name;
    this.credentials = credentials;
    this.folder = join(pair.folder, name);
    mkdirSync(this.folder);
  }

  get port(): number {
    return this.#listener!.port;
  }

  async listen(): Promise<void> {
    this.#listener = await listenControl({
      host: "127.0.0.1",
      port: 0,
      credentials: this.credentials,
      agentName: this.name,
      softwareVersion: "test",
      onChannel: (channel) => void this.#take(channel),
    });
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }

  /** A state folder for a VM; a new one each time, as a VM may come back. */
  stateOf(vm: string): string {
    return join(this.folder, `${vm}-${randomBytes(2).toString("hex")}`);
  }

  /** The result of the next incoming migration. */
  nextResult(): Promise<DestinationResult> {
    return new Promise((resolve) => this.#incoming.push(resolve));
  }

  async #take(channel: ControlChannel): Promise<void> {
    const offer = await channel.receive(["offer", "inquire"]).catch(() => null);
    if (offer === null) return;
    if (offer.type === "inquire") {
      const { migrationId } = offer;
      await channel.send(await verdictOf(join(this.folder, migrationId), migrationId)).catch(() => {});
      return;
    }
    const machineFolder = this.stateOf(offer.vmName);
    const migration = new DestinationMigration({
      channel,
      offer,
      sourceHost: this.#pair.sourceHost,
      credentials: this.credentials,
      hostName: this.name,
      folder: join(this.folder, offer.migrationId),
      machineFolder,
      rebuild: (machine) => {
        const { metal } = migrationSettingsSchema.parse(offer.settings);
        return this.rebuilds(machine, new BareMetalRebuild(machine, new Set(metal?.leaveOut)));
      },
      startMachine: async (signal) =>
        this.#pair.keep(
          await startMachine(this.startsAs(parseMachine(offer.machine)), {
            stateFolder: machineFolder,
            incoming: "defer",
            paused: true,
            qemu: this.#pair.binary,
            signal,
          }),
        ),
    });
    this.onIncoming(migration, channel);
    const result = await migration.run();
    this.#incoming.shift()?.(result);
  }
}

/** Two hosts in this process with a throw-away authority; everything they started goes with them. */
export class Pair implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "godwit-pair-"));
  readonly binary: string;
  /** Where destinations dial the bulk connections of sources. */
  readonly sourceHost: string;
  readonly a: Host;
  readonly b: Host;
  readonly #machines: RunningMachine[] = [];

  private constructor(binary: string, sourceHost: string, a: Credentials, b: Credentials) {
    this.binary = binary;
    this.sourceHost = sourceHost;
    this.a = new Host(this, "alpha", a);
    this.b = new Host(this, "beta", b);
  }

  /** @param sourceHost another address than loopback's own when a simulated link stands between */
  static async open(version: QemuVersion, sourceHost = "127.0.0.1"): Promise<Pair> {
    const authority = await createAuthority("test");
    const credentials = async (name: string): Promise<Credentials> => {
      const issued = await issueHost(authority, name, ["127.0.0.1"]);
      return { caPem: authority.certPem, ...issued };
    };
    const { binary } = qemuBuild(version);
    const pair = new Pair(binary, sourceHost, await credentials("alpha"), await credentials("beta"));
    await Promise.all([pair.a.listen(), pair.b.listen()]);
    return pair;
  }

  keep(machine: RunningMachine): RunningMachine {
    this.#machines.push(machine);
    return machine;
  }

  /** Starts a machine on a host. */
  async start(host: Host, machine: Machine): Promise<RunningMachine> {
    return this.keep(
      await startMachine(machine, { stateFolder: host.stateOf(machine.name), qemu: this.binary }),
    );
  }

  /** QEMUs of this pair that run now. */
  runningMachines(): number {
    return this.#machines.filter(({ runs }) => runs).length;
  }

  /** The machine started last: during a migration the destination's. */
  lastStarted(): RunningMachine {
    return this.#machines.at(-1)!;
  }

  /** A migration that has not begun. */
  migration(
    machine: RunningMachine,
    from: Host,
    to: Pick<Host, "name" | "port">,
    settings: MigrationSettingsInput = {},
    more: Partial<SourceOptions> = {},
  ): SourceMigration {
    const migrationId = `m-${randomBytes(6).toString("hex")}`;
    return new SourceMigration({
      migrationId,
      machine,
      destination: { host: "127.0.0.1", port: to.port, name: to.name },
      settings: migrationSettingsSchema.parse(settings),
      credentials: from.credentials,
      hostName: from.name,
      softwareVersion: "test",
      folder: join(from.folder, migrationId),
      bulkListen: { host: "127.0.0.1" },
      ...more,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { pid, runs } of this.#machines) if (runs) process.kill(pid, "SIGKILL");
    for (const machine of this.#machines) {
      while (machine.runs) await new Promise((resolve) => setTimeout(resolve, 5));
      machine.release();
      await adoptMachine(machine.folder).catch(() => null);
    }
    await Promise.all([this.a.close(), this.b.close()]);
    rmSync(this.folder, { recursive: true });
  }
}
