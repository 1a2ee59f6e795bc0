import { readdirSync, statSync } from "node:fs";
import { NetworkNamespace, namespaceFolder, removeNamespaces } from "./network-namespace.ts";

let serial = 0;

/** A name for one pair of hosts, unique among everything that runs: `godwit-<pid>-<serial>`. */
export function newRunName(): string {
  serial += 1;
  return `godwit-${process.pid}-${serial}`;
}

/**
 * Removes network namespaces that earlier runs left because they were killed: those whose name carries the pid of
 * a process that does not exist any more. Gives the names of what it removed.
 */
export async function sweepStaleRuns(): Promise<string[]> {
  const stale = namespaceNames().filter((name) => {
    const pid = /^godwit-(\d+)-/.exec(name)?.[1];
    return pid !== undefined && !isAlive(Number(pid));
  });
  await removeNamespaces(stale.map((name) => new NetworkNamespace(name)));
  return stale;
}

/** The names of all network namespaces of this machine that iproute2 knows. */
export function namespaceNames(): string[] {
  return statSync(namespaceFolder, { throwIfNoEntry: false }) === undefined
    ? []
    : readdirSync(namespaceFolder);
}

function isAlive(pid: number): boolean {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false }) !== undefined;
}
