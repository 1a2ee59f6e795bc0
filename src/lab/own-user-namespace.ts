import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";

/** Set in the program that runs inside, so that it does not try again. */
const INSIDE = "LAB_IN_OWN_USER_NAMESPACE";

const unshareArguments = ["--user", "--map-root-user", "--net", "--mount", "--"];

/**
 * Without root, most systems let anybody be root of a user namespace of their own, and inside it the lab can make
 * the same network namespaces, links and taps as real root. Runs this whole program again in one and resolves with
 * its exit code; with null where that is not possible or not needed, and the caller goes on itself.
 */
export async function runInOwnUserNamespace(): Promise<number | null> {
  if (process.env[INSIDE] !== undefined) {
    // The program outside is gone: nobody waits for this one any more.
    process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
    process.channel?.unref();
    return null;
  }
  if (process.getuid?.() === 0 || !canMakeTaps() || !canUnshare()) return null;
  // iproute2 keeps its names in /run; inside it is ours alone and goes with us.
  const words = ["sh", "-c", 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"', "sh"];
  const child = spawn(
    "unshare",
    [...unshareArguments, ...words, process.execPath, ...process.argv.slice(1)],
    {
      stdio: ["inherit", "inherit", "inherit", "ipc"],
      env: { ...process.env, [INSIDE]: "yes" },
      // A session of its own, so that a terminal's Ctrl-C reaches it once: through us.
      detached: true,
    },
  );
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  process.on("SIGINT", forward);
  process.on("SIGTERM", forward);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => resolve(code ?? 1));
    });
  } finally {
    process.off("SIGINT", forward);
    process.off("SIGTERM", forward);
  }
}

function canMakeTaps(): boolean {
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function canUnshare(): boolean {
  const tried = spawnSync("unshare", [...unshareArguments, "mount", "-t", "tmpfs", "tmpfs", "/run"], {
    stdio: "ignore",
    timeout: 10_000,
  });
  return tried.status === 0;
}
