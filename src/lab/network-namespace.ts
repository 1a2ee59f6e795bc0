import { readdirSync, readlinkSync, statSync } from "node:fs";
import { GodwitError } from "../base/errors.ts";
import { runCommand, runCommandSync } from "./command.ts";

/** Where iproute2 keeps the names of network namespaces. */
export const namespaceFolder = "/run/netns";

/** Killed processes leave within milliseconds; one that is still there after this is stuck in the kernel. */
const LEAVE_TIMEOUT_MS = 10_000;

/** A network namespace that this process made: a host, the client or a piece of the network between them. */
export class NetworkNamespace {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** The file that stands for it. */
  get path(): string {
    return `${namespaceFolder}/${this.name}`;
  }

  /** The command line that runs a command inside; it execs, so the child's pid is the command's. */
  wrap(command: string, args: readonly string[]): { command: string; args: string[] } {
    return { command: "nsenter", args: [`--net=${this.path}`, "--", command, ...args] };
  }

  /** Runs lines of `ip` inside, all in one process. */
  async ip(lines: readonly string[], signal?: AbortSignal): Promise<void> {
    await runCommand("ip", ["-n", this.name, "-batch", "-"], batch(lines, signal));
  }

  /** Runs lines of `tc` inside, all in one process. */
  async tc(lines: readonly string[], signal?: AbortSignal): Promise<void> {
    await runCommand("tc", ["-n", this.name, "-batch", "-"], batch(lines, signal));
  }

  /** The processes inside. A process that may not be looked at is not one of ours. */
  processes(): number[] {
    return processesInside(this.path);
  }
}

/** Makes namespaces, all in one process. */
export async function makeNamespaces(
  names: readonly string[],
  signal?: AbortSignal,
): Promise<NetworkNamespace[]> {
  const lines = names.map((name) => `netns add ${name}`);
  await runCommand("ip", ["-batch", "-"], batch(lines, signal));
  return names.map((name) => new NetworkNamespace(name));
}

/** Runs lines of `ip` outside of any namespace of ours, to lay links between them. */
export async function ipBetweenNamespaces(lines: readonly string[], signal?: AbortSignal): Promise<void> {
  await runCommand("ip", ["-batch", "-"], batch(lines, signal));
}

/**
 * Kills what still runs in the namespaces, waits until it is gone and removes them with everything inside. Whatever
 * runs in a namespace of ours was started for it. A namespace that is gone already is no error.
 * @throws GodwitError `GODWIT_LAB_TEARDOWN` when a process does not die
 */
export async function removeNamespaces(namespaces: readonly NetworkNamespace[]): Promise<void> {
  const deadline = performance.now() + LEAVE_TIMEOUT_MS;
  for (;;) {
    const left = namespaces.flatMap((namespace) => namespace.processes());
    if (left.length === 0) break;
    if (performance.now() > deadline) {
      throw new GodwitError("GODWIT_LAB_TEARDOWN", `processes ${left.join(", ")} don't end after SIGKILL`, {
        side: "local",
        advice: `look at them, then remove ${namespaces.map(({ name }) => name).join(", ")} with ip netns del`,
      });
    }
    for (const pid of left) kill(pid);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  for (const namespace of namespaces) {
    if (exists(namespace.path)) await runCommand("ip", ["netns", "del", namespace.name]);
  }
}

/** As {@link removeNamespaces} while this process exits: kills and removes without waiting. */
export function removeNamespacesSync(namespaces: readonly NetworkNamespace[]): void {
  for (const namespace of namespaces) {
    for (const pid of namespace.processes()) kill(pid);
    if (exists(namespace.path)) runCommandSync("ip", ["netns", "del", namespace.name]);
  }
}

function processesInside(namespacePath: string): number[] {
  if (!exists(namespacePath)) return [];
  const wanted = `net:[${statSync(namespacePath).ino}]`;
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => pid !== process.pid && namespaceOf(pid) === wanted);
}

function namespaceOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return null;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended meanwhile.
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function batch(lines: readonly string[], signal: AbortSignal | undefined) {
  return { input: `${lines.join("\n")}\n`, ...(signal === undefined ? {} : { signal }) };
}
