import { appendFileSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type DevicesState, decodeDevicesState, encodeDevicesState } from "../devices-state.ts";

/** In the machine's folder while its devices are quiet, so that the next agent can put them right. */
const FILE = "captured-devices.jsonl";

/**
 * Keeps what was read so far, as one more line: replacing a file takes some file systems tens of milliseconds, and the
 * guest stands still. Not on stable storage, since a machine that loses its host loses its devices too.
 */
export function keepCapture(machineFolder: string, state: DevicesState): void {
  appendFileSync(join(machineFolder, FILE), `${Buffer.from(encodeDevicesState(state))}\n`, { mode: 0o600 });
}

/** What was read and not undone; null where that is nothing, or another version's. */
export function readKeptCapture(machineFolder: string): DevicesState | null {
  try {
    // What is behind the last newline was being written when its writer died.
    const last = readFileSync(join(machineFolder, FILE), "utf8").split("\n").at(-2);
    return last === undefined ? null : decodeDevicesState(Buffer.from(last));
  } catch {
    return null;
  }
}

/** It was undone. */
export function forgetCapture(machineFolder: string): void {
  rmSync(join(machineFolder, FILE), { force: true });
}
