import { readFileSync } from "node:fs";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { type DescribedDevice, describedDevicesSchema } from "../inventory.ts";
import { type ShadowRecord, shadowRecordSchema } from "../monitor.ts";

/** In the machine's folder, so that it goes where the machine goes and ends with it. */
const FILE = "monitor.json";

const keptSchema = z.strictObject({
  /** Of the trace: what is before it is in the record. */
  traceOffset: z.int().nonnegative(),
  devices: describedDevicesSchema,
  shadows: shadowRecordSchema,
});

/** What a monitor knew, and up to where it had read. */
export interface KeptMonitor {
  readonly traceOffset: number;
  readonly devices: readonly DescribedDevice[];
  readonly shadows: ShadowRecord;
}

/** What is kept of a machine's monitor; null where nothing is: the whole trace is to be read then. */
export function readKeptMonitor(machineFolder: string): KeptMonitor | null {
  try {
    return keptSchema.parse(JSON.parse(readFileSync(join(machineFolder, FILE), "utf8")));
  } catch {
    return null;
  }
}

/** Keeps what a monitor knows with its machine. */
export function keepMonitor(machineFolder: string, kept: KeptMonitor): void {
  writeFileAtomic.sync(join(machineFolder, FILE), JSON.stringify(kept), { mode: 0o600, fsync: false });
}
