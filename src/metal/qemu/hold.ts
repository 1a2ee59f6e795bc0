import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningMachine } from "../../qemu/running-machine.ts";

/** In the machine's folder while it is held for a look at its devices, so that the next agent lets it go on. */
const FILE = "held-for-a-look";

/** Holds a machine, if it runs, for the milliseconds that work with its devices takes. */
export async function whileHeld<Result>(
  machine: RunningMachine,
  work: () => Promise<Result>,
): Promise<Result> {
  const { running } = await machine.qmp.execute("query-status");
  if (!running) return work();
  const mark = join(machine.folder, FILE);
  writeFileSync(mark, "", { mode: 0o600 });
  await machine.qmp.execute("stop");
  try {
    return await work();
  } finally {
    await machine.qmp.execute("cont");
    rmSync(mark, { force: true });
  }
}

/** Whether an agent that died held the machine. */
export function isLeftHeld(machine: RunningMachine): boolean {
  return existsSync(join(machine.folder, FILE));
}

/** It goes on. */
export async function endHold(machine: RunningMachine): Promise<void> {
  await machine.qmp.execute("cont");
  rmSync(join(machine.folder, FILE), { force: true });
}
