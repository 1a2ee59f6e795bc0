import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DevicesState, decodeDevicesState, encodeDevicesState } from "../devices-state.ts";

/** In the machine's folder while its devices are quiet, so that the next agent can put them right. */
const FILE = "captured-devices.json";

/** Keeps what was read; not on stable storage, since a machine that loses its host loses its devices too. */
export function keepCapture(machineFolder: string, state: DevicesState): void {
  writeFileSync(join(machineFolder, FILE), encodeDevicesState(state), { mode: 0o600 });
}

/** What was read and not undone; null where that is nothing. */
export function readKeptCapture(machineFolder: string): DevicesState | null {
  try {
    return decodeDevicesState(readFileSync(join(machineFolder, FILE)));
  } catch {
    return null;
  }
}

/** It was undone. */
export function forgetCapture(machineFolder: string): void {
  rmSync(join(machineFolder, FILE), { force: true });
}
