import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { formatBytes } from "../../base/units.ts";
import { availableMemoryBytes, freeDiskBytes } from "../host-resources.ts";
import type { Finding } from "../schemas.ts";
import { type Check, finding } from "./check.ts";

/** Each VM takes two sockets, each migration some thirty files: 1,024 carry dozens of both. */
const OPEN_FILES = 1024;
/** Below this hardly any guest fits. */
const FREE_MEMORY_BYTES = 512 * 1024 ** 2;
/** Journals and logs are small, but without room for them no migration may commit. */
const FREE_DISK_BYTES = 256 * 1024 ** 2;

/** Limits of this process that its QEMUs inherit. */
export const limitsCheck: Check = {
  name: "limits",
  run() {
    const limits = readFileSync("/proc/self/limits", "utf8");
    const softLimit = (name: string) => {
      const text = new RegExp(`^${name}\\s+(\\S+)`, "m").exec(limits)?.[1] ?? "unlimited";
      return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text);
    };
    const files = softLimit("Max open files");
    const locked = softLimit("Max locked memory");
    const findings: Finding[] = [];
    findings.push(
      files >= OPEN_FILES
        ? finding("open files", "ok", `${files} allowed`)
        : finding("open files", "warn", `only ${files} allowed`, "raise the limit: ulimit -n 65536"),
    );
    findings.push(
      locked === Number.POSITIVE_INFINITY || process.getuid?.() === 0
        ? finding("locked memory", "ok", "no limit that matters")
        : finding(
            "locked memory",
            "ok",
            `${formatBytes(locked)} allowed; only guests with locked memory or passed-through devices need more`,
          ),
    );
    return findings;
  },
};

/** Free memory for arriving guests. */
export const memoryCheck: Check = {
  name: "memory",
  run() {
    const free = availableMemoryBytes();
    const text = `${formatBytes(free)} available`;
    if (free >= FREE_MEMORY_BYTES) return [finding("memory", "ok", text)];
    return [
      finding("memory", "warn", text, "VMs that need more are refused: free memory or use another host"),
    ];
  },
};

/** Free space for journals and logs. */
export const diskCheck: Check = {
  name: "state folder",
  run({ stateFolder }) {
    let folder = stateFolder;
    while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
    const free = freeDiskBytes(folder);
    const text = `${formatBytes(free)} free for ${stateFolder}`;
    if (free >= FREE_DISK_BYTES) return [finding("state folder", "ok", text)];
    return [finding("state folder", "fail", text, "free disk space, or choose another folder with --state")];
  },
};
