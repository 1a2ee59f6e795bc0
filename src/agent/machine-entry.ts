import { GodwitError } from "../base/errors.ts";
import { type MachineRecord, writeMachineRecord } from "./machine-record.ts";
import type { MachineState } from "./machine-state.ts";
import type { MachineDescription, MachineHandle } from "./ports.ts";
import { type MachineInfo, machineNamePattern } from "./schemas.ts";

/** What the registry holds of one VM. */
export interface MachineEntry<Native> {
  readonly name: string;
  state: MachineState;
  since: string;
  description: MachineDescription;
  handle: MachineHandle<Native> | null;
  forget: () => void;
  migrationId: string | null;
  movedTo: string | null;
  reason: string | null;
}

/** A VM as the agent tells others about it. */
export function machineInfo<Native>(entry: MachineEntry<Native>): MachineInfo {
  return {
    name: entry.name,
    state: entry.state,
    since: entry.since,
    memoryBytes: entry.description.memoryBytes,
    vcpus: entry.description.vcpus,
    accelerator: entry.description.accelerator,
    pid: entry.handle?.pid ?? null,
    qemuVersion: entry.handle?.qemuVersion ?? null,
    logPath: entry.handle?.logPath ?? null,
    movedTo: entry.movedTo,
    reason: entry.reason,
    migrationId: entry.migrationId,
    warnings: [...entry.description.warnings],
  };
}

/** What stands in for the description of a VM that nothing is known of. */
export function unknownMachine(name: string): MachineDescription {
  return { name, memoryBytes: 0, vcpus: 0, accelerator: "unknown", warnings: [] };
}

/** The description that a record keeps. */
export function describedBy(
  record: MachineRecord | null,
): Omit<MachineDescription, "name" | "warnings"> | null {
  if (record === null) return null;
  return { memoryBytes: record.memoryBytes, vcpus: record.vcpus, accelerator: record.accelerator };
}

/** A name that may become a folder. @throws GodwitError `GODWIT_MACHINE_FILE` */
export function checkedName(name: string): string {
  if (machineNamePattern.test(name)) return name;
  throw new GodwitError("GODWIT_MACHINE_FILE", `"${name}" is no name for a VM`, {
    side: "local",
    advice: "use up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit",
  });
}

/** Writes down what the next agent must know of a VM. */
export function recordEntry<Native>(folder: string, entry: MachineEntry<Native>): void {
  const { state, since, description, movedTo, migrationId, reason } = entry;
  writeMachineRecord(folder, {
    state,
    since,
    memoryBytes: description.memoryBytes,
    vcpus: description.vcpus,
    accelerator: description.accelerator,
    ...(movedTo === null ? {} : { movedTo }),
    ...(migrationId === null ? {} : { migrationId }),
    ...(reason === null ? {} : { reason }),
  });
}
