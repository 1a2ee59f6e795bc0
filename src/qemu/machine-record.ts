import { readFileSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import { machineSchema } from "./machine.ts";
import { processIdentitySchema } from "./process-identity-schema.ts";
import { identifyProcess, type ProcessIdentity, processArguments } from "./process-table.ts";
import type { StatePaths } from "./state-paths.ts";

const machineRecordSchema = z.object({
  /** Raised when a later Godwit can't be read by an earlier one. */
  format: z.literal(1),
  machine: machineSchema,
  /** The QEMU binary, and the arguments it was started with. */
  binary: z.string(),
  arguments: z.array(z.string()),
  /** ISO 8601. */
  startedAt: z.string(),
});

/** What a state folder remembers of what was started in it: `machine.json`. */
export type MachineRecord = z.infer<typeof machineRecordSchema>;

/** Writes `machine.json` in one step. */
export function writeMachineRecord(paths: StatePaths, record: MachineRecord): void {
  writeFileAtomic.sync(paths.record, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
}

/**
 * Reads `machine.json`; `null` where there is none.
 * @throws GodwitError `GODWIT_MACHINE_STATE` when it can't be understood
 */
export function readMachineRecord(paths: StatePaths): MachineRecord | null {
  return readJson(paths.record, machineRecordSchema);
}

/** Writes down which process runs the machine. */
export function writeProcess(paths: StatePaths, identity: ProcessIdentity): void {
  writeFileAtomic.sync(paths.process, `${JSON.stringify(identity)}\n`, { mode: 0o600 });
}

/**
 * The process that was last started here, whether it still runs or not; `null` where none is known. Between starting
 * QEMU and writing its identity down an agent may die: QEMU's own pid file then tells, if the process it names has
 * this folder's monitor among its arguments.
 * @throws GodwitError `GODWIT_MACHINE_STATE` when what is written there can't be understood
 */
export function recordedProcess(paths: StatePaths): ProcessIdentity | null {
  const written = readJson(paths.process, processIdentitySchema);
  if (written !== null) return written;
  const pid = Number(readTextOrNull(paths.pidFile)?.trim() || Number.NaN);
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  const ours = processArguments(pid).some((argument) => argument === paths.pidFile);
  return ours ? identifyProcess(pid) : null;
}

function readJson<Schema extends z.ZodType>(path: string, schema: Schema): z.infer<Schema> | null {
  const text = readTextOrNull(path);
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new GodwitError(
      "GODWIT_MACHINE_STATE",
      `${path} cannot be understood: ${(error as Error).message}`,
      {
        advice: "end the machine's QEMU by hand if it still runs, then remove the folder",
        cause: error,
      },
    );
  }
}

function readTextOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new GodwitError("GODWIT_MACHINE_STATE", `${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
