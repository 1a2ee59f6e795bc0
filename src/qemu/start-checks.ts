import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import type { Machine } from "./machine.ts";
import { HUGE_PAGE_BYTES, hasHugePages } from "./machine-checks.ts";
import { memoryFile } from "./state-paths.ts";

/**
 * Checks that every file a machine names is on this host.
 * @throws GodwitError `GODWIT_FILE_MISSING`
 */
export function checkFiles(machine: Machine): void {
  const named: readonly (readonly [key: string, path: string | undefined])[] = [
    ["kernel", machine.kernel],
    ["initrd", machine.initrd],
    ...machine.disks.map((disk, index) => [`disks.${index}.path`, disk.path] as const),
  ];
  for (const [key, path] of named) {
    if (path === undefined || existsSync(path)) continue;
    throw new GodwitError(
      "GODWIT_FILE_MISSING",
      `${path} does not exist on this host (${key} of "${machine.name}")`,
      {
        vmState: "not started",
        advice: "both hosts need the same kernel and disks under the same paths",
      },
    );
  }
}

/** The kernel's own count of huge pages that nobody has (Documentation/admin-guide/mm/hugetlbpage.rst). */
const FREE_HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

/**
 * Checks that a machine of huge pages finds so many: QEMU would only say that it can't allocate memory.
 * @throws GodwitError `GODWIT_NO_MEMORY`
 */
export function checkHugePages(machine: Machine, countFile = FREE_HUGE_PAGES): void {
  if (!hasHugePages(machine)) return;
  const wanted = machine.memoryBytes / HUGE_PAGE_BYTES;
  const free = existsSync(countFile) ? Number(readFileSync(countFile, "utf8")) : 0;
  if (free >= wanted) return;
  throw new GodwitError(
    "GODWIT_NO_MEMORY",
    `"${machine.name}" needs ${wanted} huge pages of 2 MiB, ${free} are free on this host`,
    {
      vmState: "not started",
      advice: "reserve more (nr_hugepages beside that count), soon after the host's start",
    },
  );
}

/**
 * Makes an empty memory file where the machine has one: QEMU would make it readable by everybody. Its whole size must
 * fit now, since a tmpfs that runs full later kills QEMU.
 * @throws GodwitError `GODWIT_NO_SPACE`, `GODWIT_MEMORY_FILE`
 */
export function makeMemoryFile(machine: Machine, folder: string): void {
  const path = memoryFile(folder, machine);
  if (path === null) return;
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    if (bavail * bsize < machine.memoryBytes) {
      throw new GodwitError(
        "GODWIT_NO_SPACE",
        `${dirname(path)} has ${bavail * bsize} bytes left, the memory of "${machine.name}" needs ${machine.memoryBytes}`,
        { advice: "use another directory, or memoryBackend: {kind: private}" },
      );
    }
    rmSync(path, { force: true });
    const descriptor = openSync(path, "wx", 0o600);
    try {
      ftruncateSync(descriptor, machine.memoryBytes);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw asGodwitError(error, "GODWIT_MEMORY_FILE");
  }
}
