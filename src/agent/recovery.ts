import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { Journal } from "../migration/journal.ts";
import type { Recovered } from "../migration/recover.ts";
import type { MigrationDesk } from "./migration-desk.ts";
import type { MachineRegistry, Settlement } from "./registry.ts";

interface Surroundings<Native> {
  readonly registry: MachineRegistry<Native>;
  readonly desk: MigrationDesk<Native>;
  readonly log: Logger;
}

/**
 * Brings the VMs into the states that the recovery of open migrations found, now and, where a peer has yet to be
 * asked, later. Afterwards no VM is left as if a migration of an earlier agent still went on.
 */
export async function settleRecovered<Native>(
  recovered: readonly Recovered[],
  surroundings: Surroundings<Native>,
): Promise<void> {
  for (const one of recovered) await settleOne(one, surroundings);
  await settleForgotten(surroundings);
}

async function settleOne<Native>(one: Recovered, surroundings: Surroundings<Native>): Promise<void> {
  const { registry, desk, log } = surroundings;
  const { migrationId, vm, reason, later } = one;
  log.warn({ migration: migrationId, vm, as: one.as, reason }, "a migration of an earlier agent is settled");
  if (["migrating-out", "incoming", "in-doubt"].includes(registry.stateOf(vm))) {
    await registry.settle(vm, settlementOf(one));
  }
  desk.conclude(migrationId, outcomeOf(one));
  later
    ?.then((then) => settleOne(then, surroundings))
    .then(
      () => desk.endDoubt(migrationId),
      (error) => {
        log.info({ migration: migrationId, vm, err: error }, "a migration stays in doubt");
        desk.endDoubt(migrationId, error);
      },
    );
}

function settlementOf<Native>({ as, role, peer, reason }: Recovered): Settlement<Native> {
  if (as === "departed") return { as, movedTo: peer };
  if (as === "in-doubt") return { as, reason };
  // A source whose QEMU ended meanwhile still has the VM: stopped.
  return as === "here" || role === "source" ? { as: "here", reason } : { as: "absent" };
}

function outcomeOf({ as, role }: Recovered): "completed" | "failed" | "in-doubt" {
  if (as === "in-doubt") return as;
  return as === (role === "source" ? "departed" : "here") ? "completed" : "failed";
}

/**
 * An agent may die between the end of a journal and the word of it in the VM's record, or before there was a
 * journal: then the journal's last state decides, and without one nothing has happened.
 */
async function settleForgotten<Native>({ registry, desk, log }: Surroundings<Native>): Promise<void> {
  for (const { name, state, migrationId } of registry.list()) {
    if (state !== "migrating-out" && state !== "incoming") continue;
    const folder = migrationId === null ? null : desk.folderOf(migrationId);
    const record = folder !== null && existsSync(join(folder, "journal.jsonl")) ? Journal.read(folder) : null;
    const moved = record !== null && ["handed-over", "running", "released"].includes(record.state);
    log.warn({ vm: name, state, journal: record?.state }, "a VM was left in a migration that has ended");
    if (state === "incoming") await registry.settle(name, moved ? { as: "here" } : { as: "absent" });
    else if (moved) await registry.settle(name, { as: "departed", movedTo: record.head.peer.name });
    else await registry.settle(name, { as: "here" });
    if (migrationId !== null) desk.conclude(migrationId, moved ? "completed" : "failed");
  }
}
