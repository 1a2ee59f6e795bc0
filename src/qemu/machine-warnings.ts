import { hasUnplacedDevice } from "./extra-arguments.ts";
import type { Machine } from "./machine.ts";
import type { QemuVersion } from "./version.ts";

/** Something about a machine that works but may not end as expected. */
export interface MachineWarning {
  /** Stable: `tcg-loses-dirty-pages`, `cached-writable-disk` … */
  readonly code: string;
  /** Which key of the machine file. */
  readonly path: string;
  readonly message: string;
  readonly advice: string;
}

/** RAM blocks of such sizes take QEMU's fast dirty sync: 64 bitmap bits of 4 KiB pages. */
const FAST_SYNC_STEP_BYTES = 256 * 1024;

/** What to tell about a machine before it runs or moves on a QEMU of that version (undefined: any). */
export function machineWarnings(machine: Machine, version?: QemuVersion): MachineWarning[] {
  const warnings: MachineWarning[] = [];
  const warn = (code: string, path: string, message: string, advice: string) => {
    warnings.push({ code, path, message, advice });
  };
  if (losesDirtyPages(machine, version)) {
    warn(
      "tcg-loses-dirty-pages",
      "memory",
      "QEMU before 9.0 under TCG loses dirty pages in a migration when memory is a multiple of 256 KiB",
      `use QEMU 9.0 or later, or a memory of ${machine.memoryBytes / 1024 + 8}KiB`,
    );
  }
  if (machine.kernel === undefined && machine.disks.length === 0) {
    warn("nothing-to-boot", "", "the machine has neither a kernel nor a disk", "add `kernel` or `disks`");
  }
  machine.disks.forEach((disk, index) => {
    if (disk.readOnly || disk.cache === "none") return;
    warn(
      "cached-writable-disk",
      `disks.${index}.cache`,
      "another host may see old contents of a disk that this host caches",
      "use cache: none unless both hosts share one page cache",
    );
  });
  if (/^(host|max)\b/.test(machine.cpu)) {
    warn(
      "unportable-cpu",
      "cpu",
      `the CPU model "${machine.cpu}" means something else on another host or QEMU version`,
      "name a model that both hosts have, for example qemu64",
    );
  }
  machine.nics.forEach(({ backend }, index) => {
    if (backend.kind !== "user") return;
    warn(
      "user-network-does-not-move",
      `nics.${index}.backend`,
      "connections through QEMU's user network end when the guest moves, and forwarded ports must be free there",
      "use a tap interface on a network that both hosts share",
    );
  });
  if (hasUnplacedDevice(machine.extraArguments)) {
    warn(
      "unplaced-device",
      "extraArguments",
      "a device without an address gets the next free slot, which depends on the QEMU version",
      "give it bus= and addr=; slots 0x1c and 0x1d are free",
    );
  }
  return warnings;
}

function losesDirtyPages(machine: Machine, version: QemuVersion | undefined): boolean {
  if (machine.accelerator !== "tcg" || (version !== undefined && version.major >= 9)) return false;
  return machine.memoryBytes % FAST_SYNC_STEP_BYTES === 0;
}
