import assert from "node:assert/strict";
import type { QemuVersion } from "../../src/lab/toolchain.ts";
import type { PhaseName } from "../../src/migration/events.ts";
import type { MigrationSettingsInput } from "../../src/migration/settings.ts";
import type { SourceMigration } from "../../src/migration/source.ts";
import type { RunningMachine } from "../../src/qemu/running-machine.ts";
import { assertWhole, BUSY, guestMachine, loadGuest } from "./guest.ts";
import { Pair } from "./pair.ts";

/** A pair with a busy guest at its first host. */
export async function busyPair(
  version: QemuVersion,
  sourceHost?: string,
): Promise<{ pair: Pair; machine: RunningMachine }> {
  const pair = await Pair.open(version, sourceHost);
  const machine = await pair.start(pair.a, guestMachine(version));
  await loadGuest(machine, BUSY);
  return { pair, machine };
}

/** Calls back once when a migration enters a phase. */
export function at(migration: SourceMigration, phase: PhaseName, action: () => void): void {
  const end = migration.onEvent((event) => {
    if (event.type !== "phase" || event.phase !== phase) return;
    end();
    action();
  });
}

/** The guest runs on at the source, whole, and nothing of the attempt is left. */
export async function assertUnharmed(pair: Pair, machine: RunningMachine): Promise<void> {
  assert.ok(machine.runs);
  assert.equal((await machine.qmp.execute("query-status")).running, true, "the guest runs at the source");
  await assertWhole(machine);
  assert.equal(pair.runningMachines(), 1, "one QEMU is left, the source's");
}

/** A migration completes, and its guest is whole at the destination and only there. */
export async function assertMoves(pair: Pair, migration: SourceMigration): Promise<void> {
  const result = pair.b.nextResult();
  const report = await migration.run();
  assert.equal(report.outcome, "completed", JSON.stringify(report.error));
  await assertWhole((await result).machine!);
  assert.equal(pair.runningMachines(), 1, "one QEMU is left, the destination's");
}

/** Kills the destination's QEMU in a phase of a migration, which fails for it and harms nothing. */
export async function assertBearsKilledDestination(
  pair: Pair,
  machine: RunningMachine,
  phase: PhaseName,
  settings: MigrationSettingsInput = {},
): Promise<void> {
  const migration = pair.migration(machine, pair.a, pair.b, settings);
  at(migration, phase, () => pair.lastStarted().kill());
  const result = pair.b.nextResult();
  const report = await migration.run();
  assert.equal(report.outcome, "failed");
  assert.equal(report.error?.side, "destination", JSON.stringify(report.error));
  assert.equal(report.error?.vmState, "running at the source");
  assert.equal((await result).outcome, "abandoned");
  await assertUnharmed(pair, machine);
}
