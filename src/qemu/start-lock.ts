import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { GodwitError } from "../base/errors.ts";
import { processIdentitySchema } from "./process-identity-schema.ts";
import { identifyProcess, processRuns } from "./process-table.ts";

/** How often a lock left by a dead process is cleared before giving up: each time somebody else was faster. */
const ATTEMPTS = 10;
let uniqueNumber = 0;

/**
 * Takes a lock file that lives as long as this process at most, and gives the function that releases it.
 * @throws GodwitError `GODWIT_MACHINE_BUSY` while another process, or another start in this one, holds it
 */
export function takeStartLock(path: string): () => void {
  const own = `${path}.${process.pid}.${uniqueNumber++}`;
  const content = JSON.stringify(identifyProcess(process.pid));
  writeFileSync(own, content, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if (tryLink(own, path)) return () => rmSync(path, { force: true });
      const holder = readHolder(path);
      if (holder === undefined) continue;
      if (holder !== null && processRuns(holder)) throw busy(path, holder.pid);
      clearStale(path, `${own}.stale`);
    }
    throw busy(path, undefined);
  } finally {
    rmSync(own, { force: true });
  }
}

/** A link appears with its content complete, which a file made with O_EXCL doesn't. */
function tryLink(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** `undefined` when the lock is gone, `null` when it makes no sense. */
function readHolder(path: string) {
  try {
    return processIdentitySchema.safeParse(JSON.parse(readFileSync(path, "utf8"))).data ?? null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? undefined : null;
  }
}

/** Moves a stale lock aside; one that somebody took meanwhile is put back. */
function clearStale(path: string, aside: string): void {
  try {
    renameSync(path, aside);
    const holder = readHolder(aside);
    if (holder !== undefined && holder !== null && processRuns(holder)) tryLink(aside, path);
    unlinkSync(aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function busy(path: string, pid: number | undefined): GodwitError {
  const who = pid === undefined ? "somebody else" : `process ${pid}`;
  return new GodwitError("GODWIT_MACHINE_BUSY", `${who} is starting this machine now (${path})`, {
    advice: "wait until it has started, or failed to",
  });
}
