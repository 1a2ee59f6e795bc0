import { readFileSync, statfsSync } from "node:fs";
import { freemem } from "node:os";

/** Memory that can be had without swapping, as the kernel estimates it. */
export function availableMemoryBytes(): number {
  try {
    const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"));
    if (match?.[1] !== undefined) return Number(match[1]) * 1024;
  } catch {
    // Without /proc there is Node's own figure.
  }
  return freemem();
}

/** Bytes that this user can still write to the file system of a folder. */
export function freeDiskBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
