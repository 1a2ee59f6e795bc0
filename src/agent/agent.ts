import { cpus, totalmem } from "node:os";
import type { Logger } from "pino";
import { asGodwitError } from "../base/errors.ts";
import type { Recovered } from "../migration/recover.ts";
import type { OperatorWord } from "../migration/source/operator-word.ts";
import { type Credentials, listenControl, loadCredentialFiles, prepareValidators } from "../wire/index.ts";
import type { SecureListener } from "../wire/tls/listen.ts";
import type { Api } from "./api/context.ts";
import { createApi, listenApi, listenError } from "./api/server.ts";
import { type AgentConfig, DEFAULT_WIRE_PORT } from "./config.ts";
import { availableMemoryBytes } from "./host-resources.ts";
import { MigrationDesk } from "./migration-desk.ts";
import type { IncomingFactory, MachineDriver, OutgoingFactory } from "./ports.ts";
import { Reception, type ReceptionOptions } from "./reception.ts";
import { settleRecovered } from "./recovery.ts";
import { MachineRegistry } from "./registry.ts";
import type { DoctorReport, HostInfo, MachineInfo } from "./schemas.ts";
import { openStateFolder, type StateFolder } from "./state-folder.ts";
import { softwareVersion } from "./version.ts";

/** How long a migration may take to roll back when the agent ends; init systems kill after 90 s. */
const CLOSE_GRACE_MS = 20_000;

/** What an agent is told about itself when its parts are made. */
export interface AgentSurroundings {
  readonly config: AgentConfig;
  readonly credentials: Credentials;
  readonly log: Logger;
}

/** The parts by which an agent reaches QEMU and moves VMs; tests put their own in. */
export interface AgentParts<Native>
  extends Pick<ReceptionOptions<Native>, "describe" | "handleOf" | "verdict"> {
  readonly driver: MachineDriver<Native>;
  readonly outgoing: OutgoingFactory<Native>;
  readonly incoming: IncomingFactory<Native>;
  /** Settles by their journals what migrations of an earlier agent left open, before anybody may ask. */
  recover(request: {
    /** Folder of the migrations' folders. */
    readonly folder: string;
    /** The QEMU that was found again in a VM's folder. */
    readonly machineIn: (machineFolder: string) => Promise<Native | null>;
    readonly operatorOf: (migrationId: string) => OperatorWord;
    readonly signal: AbortSignal;
  }): Promise<Recovered[]>;
  doctor(found: {
    readonly apiPort: number;
    readonly wirePort: number;
    readonly machines: readonly MachineInfo[];
  }): Promise<DoctorReport>;
}

/** The daemon of one host: its VMs, its API and its place on the wire. */
export class GodwitAgent<Native> {
  readonly apiPort: number;
  readonly wirePort: number;
  /** Ends the questions to peers of migrations in doubt. */
  readonly #asking: AbortController;
  readonly #state: StateFolder;
  readonly #registry: MachineRegistry<Native>;
  readonly #desk: MigrationDesk<Native>;
  readonly #api: Api;
  readonly #wire: SecureListener;
  readonly #log: Logger;

  private constructor(parts: {
    apiPort: number;
    asking: AbortController;
    state: StateFolder;
    registry: MachineRegistry<Native>;
    desk: MigrationDesk<Native>;
    api: Api;
    wire: SecureListener;
    log: Logger;
  }) {
    this.apiPort = parts.apiPort;
    this.wirePort = parts.wire.port;
    this.#asking = parts.asking;
    this.#state = parts.state;
    this.#registry = parts.registry;
    this.#desk = parts.desk;
    this.#api = parts.api;
    this.#wire = parts.wire;
    this.#log = parts.log;
  }

  /**
   * Starts an agent: locks its state folder, finds its VMs again, settles open migrations, then listens. On any
   * failure nothing is left open.
   * @throws GodwitError `GODWIT_STATE_LOCKED`, `GODWIT_CREDENTIALS`, `GODWIT_PORT_TAKEN`, `GODWIT_LISTEN`, …
   */
  static async start<Native>(
    config: AgentConfig,
    log: Logger,
    makeParts: (surroundings: AgentSurroundings) => AgentParts<Native>,
  ): Promise<GodwitAgent<Native>> {
    const credentials = await loadCredentialFiles(config.certificates);
    const parts = makeParts({ config, credentials, log });
    const cleanUp = new AsyncDisposableStack();
    await using _ = cleanUp;
    const state = cleanUp.adopt(openStateFolder(config.stateFolder), (folder) => folder.release());
    const registry = new MachineRegistry({ folder: state.machines, driver: parts.driver, log });
    cleanUp.defer(() => registry.release());
    await registry.load();
    const desk = new MigrationDesk({ folder: state.migrations, registry, outgoing: parts.outgoing, log });
    desk.load();
    const asking = new AbortController();
    cleanUp.defer(() => asking.abort());
    const recovered = await parts.recover({
      folder: state.migrations,
      machineIn: async (folder) => registry.nativeIn(folder),
      operatorOf: (id) => desk.operatorOf(id),
      signal: asking.signal,
    });
    await settleRecovered(recovered, { registry, desk, log });

    const reception = new Reception({ ...parts, registry, desk, stateFolder: state.path, log });
    const wire = await listenControl({
      host: config.listen,
      port: config.wirePort,
      credentials,
      agentName: config.name,
      softwareVersion,
      onChannel: (channel, peer, remoteAddress) => void reception.meet(channel, peer, remoteAddress),
      onRefused: (error, remoteAddress) => log.warn({ remoteAddress, err: error }, "a peer was refused"),
    }).catch((error) => {
      throw listenError(error, { host: config.listen, port: config.wirePort });
    });
    cleanUp.defer(() => wire.close());

    const startedAt = new Date().toISOString();
    const api = await createApi({
      credentials,
      log,
      version: softwareVersion,
      context: {
        registry: registry as MachineRegistry<unknown>,
        desk: desk as MigrationDesk<unknown>,
        defaultWirePort: DEFAULT_WIRE_PORT,
        doctor: () => parts.doctor({ apiPort, wirePort: wire.port, machines: registry.list() }),
        hostInfo: (): HostInfo => ({
          name: config.name,
          version: softwareVersion,
          node: process.version,
          pid: process.pid,
          startedAt,
          apiPort,
          wirePort: wire.port,
          memoryTotalBytes: totalmem(),
          memoryAvailableBytes: availableMemoryBytes(),
          processors: cpus().length,
          machines: registry.list().length,
          activeMigrations: desk.activeCount(),
        }),
      },
    });
    cleanUp.defer(() => api.close());
    const apiPort = await listenApi(api, { host: config.listen, port: config.apiPort });
    cleanUp.move();
    prepareValidators();
    return new GodwitAgent({ apiPort, asking, state, registry, desk, api, wire, log });
  }

  /**
   * Ends the agent, not its VMs: cancels migrations before their commit, leaves those beyond it to the recovery
   * of the next agent, closes every door.
   */
  async close(): Promise<void> {
    const steps: [string, () => unknown][] = [
      ["the recovery", () => this.#asking.abort()],
      ["the wire", () => this.#wire.close()],
      ["the migrations", () => this.#desk.close(CLOSE_GRACE_MS)],
      ["the API", () => this.#api.close()],
      ["the VMs", () => this.#registry.release()],
      ["the state folder", () => this.#state.release()],
    ];
    for (const [what, step] of steps) {
      try {
        await step();
      } catch (error) {
        this.#log.error({ err: asGodwitError(error, "GODWIT_INTERNAL") }, `closing ${what} failed`);
      }
    }
  }
}
