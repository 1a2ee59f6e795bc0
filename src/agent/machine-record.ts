import { readFileSync } from "node:fs";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { machineStates } from "./machine-state.ts";

const machineRecordSchema = z.object({
  state: z.enum(machineStates),
  /** When the VM came into that state, ISO 8601. */
  since: z.string(),
  /** What was known of it, for the time when no QEMU answers. */
  memoryBytes: z.number().nonnegative(),
  vcpus: z.number().int().nonnegative(),
  accelerator: z.string(),
  /** The host that it moved to. */
  movedTo: z.string().optional(),
  /** The migration that has it. */
  migrationId: z.string().optional(),
  /** Why it is in that state, in words. */
  reason: z.string().optional(),
});

/** What the agent remembers of a VM across its own restarts: `agent.json` in the VM's folder. */
export type MachineRecord = z.infer<typeof machineRecordSchema>;

/** Reads the record of a VM's folder; null where there is none or it makes no sense. */
export function readMachineRecord(folder: string): MachineRecord | null {
  try {
    return machineRecordSchema.parse(JSON.parse(readFileSync(join(folder, "agent.json"), "utf8")));
  } catch {
    return null;
  }
}

/** Replaces the record of a VM's folder in one step. */
export function writeMachineRecord(folder: string, record: MachineRecord): void {
  writeFileAtomic.sync(join(folder, "agent.json"), `${JSON.stringify(record, null, 2)}\n`);
}
