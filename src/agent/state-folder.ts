import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { asGodwitError, GodwitError } from "../base/errors.ts";

/** The folders of an agent, each below its state folder, and the lock that makes them one agent's. */
export interface StateFolder {
  readonly path: string;
  /** One folder per VM: `machines/NAME`. */
  readonly machines: string;
  /** One folder per migration of either direction: `migrations/ID`. */
  readonly migrations: string;
  /** Gives the lock back. The folder stays. */
  release(): void;
}

/**
 * Makes the state folder where there is none and locks it for this process. The lock is `flock(2)` on an open
 * file of ours, so the kernel gives it back however the agent ends; a helper sets it, because Node has no call
 * for it, and the lock stays with the open file that both share.
 * @throws GodwitError `GODWIT_STATE_LOCKED` when another agent has it, `GODWIT_STATE_FOLDER` when it can't be used
 */
export function openStateFolder(path: string): StateFolder {
  const machines = join(path, "machines");
  const migrations = join(path, "migrations");
  const lockPath = join(path, "agent.lock");
  let file: number;
  try {
    for (const folder of [path, machines, migrations]) mkdirSync(folder, { recursive: true, mode: 0o700 });
    file = openSync(lockPath, "a+", 0o600);
  } catch (error) {
    throw asGodwitError(error, "GODWIT_STATE_FOLDER", {
      side: "local",
      advice: "give a folder that this user may write to with --state DIR",
    });
  }
  try {
    lock(file, lockPath);
    ftruncateSync(file, 0);
    writeSync(file, `${process.pid}\n`);
  } catch (error) {
    closeSync(file);
    throw error;
  }
  let held = true;
  return {
    path,
    machines,
    migrations,
    release() {
      if (!held) return;
      held = false;
      closeSync(file);
    },
  };
}

function lock(file: number, lockPath: string): void {
  const result = spawnSync("flock", ["--nonblock", "--exclusive", "3"], {
    stdio: ["ignore", "ignore", "pipe", file],
    timeout: 5000,
  });
  if (result.status === 0) return;
  if (result.error !== undefined) {
    throw asGodwitError(result.error, "GODWIT_STATE_FOLDER", {
      side: "local",
      advice: "install util-linux, whose `flock` locks the state folder",
    });
  }
  const holder = readFileSync(lockPath, "utf8").trim();
  throw new GodwitError(
    "GODWIT_STATE_LOCKED",
    `another agent${holder === "" ? "" : ` (process ${holder})`} uses this state folder`,
    { side: "local", advice: "stop that agent, or give this one a folder of its own with --state DIR" },
  );
}
