import type { QemuVersion } from "../../src/lab/toolchain.ts";
import type { PhaseName } from "../../src/migration/events.ts";
import type { SourceMigration } from "../../src/migration/source.ts";
import type { RunningMachine } from "../../src/qemu/running-machine.ts";
import { BUSY, guestMachine, loadGuest } from "./guest.ts";
import { Pair } from "./pair.ts";

/** A pair with a busy guest at its first host. */
export async function busyPair(
  version: QemuVersion,
  sourceHost?: string,
): Promise<{ pair: Pair; machine: RunningMachine }> {
  const pair = await Pair.open(version, sourceHost);
  const machine = await pair.start(pair.a, guestMachine());
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
