import { existsSync } from "node:fs";
import type { Logger } from "pino";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import type { ControlChannel, MessageByType, PeerIdentity } from "../wire/index.ts";
import { availableMemoryBytes, freeDiskBytes } from "./host-resources.ts";
import type { Outcome } from "./migration-card.ts";
import type { MigrationDesk } from "./migration-desk.ts";
import type { IncomingFactory, IncomingMigration, MachineDescription, MachineHandle } from "./ports.ts";
import type { MachineRegistry } from "./registry.ts";
import { migrationIdPattern } from "./schemas.ts";

/** Each incoming migration has threads of its own and its share of the link: more only slow each other down. */
const MAX_INCOMING = 4;

/** What QEMU, our data process and the host itself need beside the guest's memory. */
const MEMORY_MARGIN_BYTES = 128 * 1024 ** 2;

/** Journals, event logs and QEMU's log of one migration stay far below this. */
const DISK_MARGIN_BYTES = 64 * 1024 ** 2;

/** A source offers or asks as soon as the channel stands. */
const FIRST_MESSAGE_TIMEOUT_MS = 15_000;

/** What the reception needs of the rest of the agent. */
export interface ReceptionOptions<Native> {
  readonly registry: MachineRegistry<Native>;
  readonly desk: MigrationDesk<Native>;
  readonly incoming: IncomingFactory<Native>;
  /** Checks a machine that came over the wire like one of our own. @throws GodwitError */
  readonly describe: (machine: unknown) => MachineDescription;
  readonly handleOf: (machine: Native) => MachineHandle<Native>;
  /** Answers a source in doubt from the journal in a migration's folder, which may not exist. */
  readonly verdict: (folder: string, migrationId: string) => Promise<MessageByType<"verdict">>;
  readonly stateFolder: string;
  readonly log: Logger;
  /** Replaced by tests. */
  readonly resources?: { memoryBytes(): number; diskBytes(): number };
}

/** Meets other agents: takes their VMs or refuses them before anything moves, and answers those in doubt. */
export class Reception<Native> {
  readonly #options: ReceptionOptions<Native>;
  readonly #log: Logger;

  constructor(options: ReceptionOptions<Native>) {
    this.#options = options;
    this.#log = options.log;
  }

  /** Takes over a channel whose peer is proven to be a host. Never rejects. */
  async meet(channel: ControlChannel, peer: PeerIdentity, remoteAddress: string): Promise<void> {
    const log = this.#log.child({ peer: peer.commonName });
    try {
      const waiting = { timeoutMs: FIRST_MESSAGE_TIMEOUT_MS };
      const first = await channel.receive(["offer", "inquire"], waiting);
      if (first.type === "inquire") await this.#answer(channel, first.migrationId, log);
      else await this.#take(channel, first, { peer, remoteAddress }, log);
    } catch (thrown) {
      const error = asGodwitError(thrown, "GODWIT_INTERNAL", { side: "destination" });
      log.warn({ err: error }, "a peer's request failed");
      await channel.abort(error.toJSON());
    }
  }

  async #take(
    channel: ControlChannel,
    offer: MessageByType<"offer">,
    { peer, remoteAddress }: { peer: PeerIdentity; remoteAddress: string },
    log: Logger,
  ): Promise<void> {
    const { registry, desk } = this.#options;
    const { migrationId, vmName } = offer;
    let claimed = false;
    let begun = false;
    try {
      await this.#admit(offer);
      claimed = true;
      await desk.receive(migrationId, vmName, peer.commonName, async (folder, watch) => {
        begun = true;
        log.info({ migration: migrationId, vm: vmName }, "a VM is coming");
        let isHere = false;
        const arrived = async (machine: Native) => {
          await registry.settle(vmName, { as: "here", handle: this.#options.handleOf(machine) });
          isHere = true;
        };
        const machineFolder = registry.folderOf(vmName);
        const migration = this.#options.incoming({
          ...{ channel, offer, remoteAddress, folder, machineFolder, arrived },
        });
        watch(migration);
        const ownLog = log.child({ migration: migrationId, vm: vmName });
        return await this.#settle(vmName, migration, () => isHere, ownLog);
      });
    } catch (thrown) {
      const error = asGodwitError(thrown, "GODWIT_INTERNAL", {
        side: "destination",
        phase: "preflight",
        vmState: "running at the source",
      });
      if (claimed) await registry.settle(vmName, { as: "absent" }).catch(() => {});
      if (begun) throw error;
      log.warn({ migration: migrationId, vm: vmName, err: error }, "a VM is refused");
      await channel.send({ type: "refused", migrationId, error: error.toJSON() });
      await channel.close();
    }
  }

  /** Everything that can be known before anything moves. Claims the VM's name last. */
  async #admit(offer: MessageByType<"offer">): Promise<void> {
    const { registry, desk, describe } = this.#options;
    const description = describe(offer.machine);
    if (description.name !== offer.vmName) {
      throw new GodwitError("GODWIT_OFFER", "the offer names another VM than its machine file", {
        advice: "bring both agents to the same version of Godwit",
      });
    }
    if (desk.activeCount("incoming") >= MAX_INCOMING) {
      throw new GodwitError(
        "GODWIT_TOO_MANY_MIGRATIONS",
        `${MAX_INCOMING} VMs are on their way here already`,
        {
          advice: "try again when one has arrived",
        },
      );
    }
    this.#checkResources(description);
    await registry.beginIncoming(description, offer.migrationId);
  }

  #checkResources({ name, memoryBytes, hugePages = false }: MachineDescription): void {
    const { registry, stateFolder } = this.#options;
    const resources = this.#options.resources ?? {
      memoryBytes: availableMemoryBytes,
      diskBytes: () => freeDiskBytes(stateFolder),
    };
    // What other VMs on their way here were promised may not be in use yet.
    const free = resources.memoryBytes() - registry.memoryPromisedBytes();
    const wanted = (hugePages ? 0 : memoryBytes) + MEMORY_MARGIN_BYTES;
    if (free < wanted) {
      throw new GodwitError(
        "GODWIT_NO_MEMORY",
        `"${name}" needs ${formatBytes(wanted)} of memory, ${formatBytes(Math.max(0, free))} are free`,
        { advice: "free memory on the destination, or choose another host" },
      );
    }
    if (resources.diskBytes() < DISK_MARGIN_BYTES) {
      throw new GodwitError(
        "GODWIT_NO_SPACE",
        `less than ${formatBytes(DISK_MARGIN_BYTES)} free in ${stateFolder}`,
        {
          advice: "free disk space on the destination",
        },
      );
    }
  }

  async #settle(
    name: string,
    migration: IncomingMigration<Native>,
    isHere: () => boolean,
    log: Logger,
  ): Promise<Outcome> {
    const { registry, handleOf } = this.#options;
    const result = await migration.run();
    log.info({ outcome: result.outcome, err: "error" in result ? result.error : undefined }, "arrival ended");
    switch (result.outcome) {
      case "arrived":
        if (!isHere()) await registry.settle(name, { as: "here", handle: handleOf(result.machine) });
        return "completed";
      case "failed":
        await registry.settle(name, { as: "absent" });
        return "failed";
      case "in-doubt":
        await registry.settle(name, {
          as: "in-doubt",
          reason: result.error.message,
          ...(result.machine === null ? {} : { handle: handleOf(result.machine) }),
        });
        return "in-doubt";
    }
  }

  async #answer(channel: ControlChannel, migrationId: string, log: Logger): Promise<void> {
    const { desk, verdict } = this.#options;
    const safe = migrationIdPattern.test(migrationId);
    // A source in doubt has lost its link; the migration here learns of that too, and decides before we answer.
    if (safe) await desk.settled(migrationId);
    const folder = desk.folderOf(migrationId);
    const answer =
      safe && existsSync(folder)
        ? await verdict(folder, migrationId)
        : ({ type: "verdict", migrationId, verdict: "unknown" } as const);
    log.info({ migration: migrationId, verdict: answer.verdict }, "a source in doubt was answered");
    await channel.send(answer);
    await channel.close();
  }
}
