import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { GodwitError } from "../base/errors.ts";
import type { Machine } from "./machine.ts";

/** `sun_path` of a unix socket has 108 bytes, the last of them NUL. */
const SOCKET_PATH_LIMIT_BYTES = 107;

/** Everything that a machine keeps in its state folder. */
export interface StatePaths {
  readonly folder: string;
  /** What was started, as {@link MachineRecord}. */
  readonly record: string;
  /** Which process it is, as {@link ProcessIdentity}. */
  readonly process: string;
  /** Written and locked by QEMU itself. */
  readonly pidFile: string;
  /** Held while somebody starts QEMU here. */
  readonly startLock: string;
  readonly qmpSocket: string;
  /** A monitor of its own for out-of-band commands: they must not queue behind others. */
  readonly outOfBandSocket: string;
  readonly serialLog: string;
  /** What QEMU says on its standard output and error. */
  readonly log: string;
}

/** A state folder's own path, whichever way led to it; one that isn't there is taken as it is. */
export function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder;
  }
}

/** The paths inside a state folder. */
export function statePaths(folder: string): StatePaths {
  return {
    folder,
    record: join(folder, "machine.json"),
    process: join(folder, "process.json"),
    pidFile: join(folder, "qemu.pid"),
    startLock: join(folder, "start.lock"),
    qmpSocket: join(folder, "qmp.sock"),
    outOfBandSocket: join(folder, "qmp-oob.sock"),
    serialLog: join(folder, "serial.log"),
    log: join(folder, "qemu.log"),
  };
}

/** The unix socket of a machine's virtio-serial channel, by its number in the machine file. */
export function channelSocket(folder: string, index: number): string {
  return join(folder, `channel-${index}.sock`);
}

/** All unix sockets that a machine has in its state folder. */
export function machineSockets(folder: string, machine: Machine): string[] {
  const { qmpSocket, outOfBandSocket } = statePaths(folder);
  return [qmpSocket, outOfBandSocket, ...machine.channels.map((_, index) => channelSocket(folder, index))];
}

/**
 * Checks that every socket of a machine fits into a unix socket address.
 * @throws GodwitError `GODWIT_SOCKET_PATH`
 */
export function checkSocketPaths(folder: string, machine: Machine): void {
  for (const path of machineSockets(folder, machine)) {
    const length = Buffer.byteLength(path);
    if (length <= SOCKET_PATH_LIMIT_BYTES) continue;
    throw new GodwitError(
      "GODWIT_SOCKET_PATH",
      `${path} has ${length} bytes, but the path of a unix socket can have ${SOCKET_PATH_LIMIT_BYTES}`,
      { advice: `use a state folder whose path is ${length - SOCKET_PATH_LIMIT_BYTES} bytes shorter` },
    );
  }
}

/**
 * The file that holds the guest's memory with `memoryBackend: {kind: file}`, `null` with others. It is named after
 * the state folder, so that the two ends of a migration on one host never share it.
 */
export function memoryFile(folder: string, machine: Machine): string | null {
  if (machine.memoryBackend.kind !== "file") return null;
  const digest = createHash("sha256").update(folder).digest("hex").slice(0, 16);
  return join(machine.memoryBackend.directory, `godwit-${machine.name}-${digest}.ram`);
}
