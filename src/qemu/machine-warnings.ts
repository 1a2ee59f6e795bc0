import { hasUnplacedDevice } from "./extra-arguments.ts";
import type { Machine } from "./machine.ts";
import { losesUpdates, soundMemoryBytes } from "./sound-memory.ts";
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

/** What to tell about a machine before it runs or moves on a QEMU of that version (undefined: any). */
export function machineWarnings(machine: Machine, version?: QemuVersion): MachineWarning[] {
  const warnings: MachineWarning[] = [];
  const warn = (code: string, path: string, message: string, advice: string) => {
    warnings.push({ code, path, message, advice });
  };
  if (machine.accelerator === "tcg") warnings.push(...dirtyLogWarnings(machine.memoryBytes, version));
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

/** A version that is not known yet may be an old one, whose loss is the certain one. */
const OLD_QEMU = { major: 0 };

function dirtyLogWarnings(memoryBytes: number, version: QemuVersion | undefined): MachineWarning[] {
  const qemu = version ?? OLD_QEMU;
  if (!losesUpdates(memoryBytes, qemu)) return [];
  const sound = `a memory of ${soundMemoryBytes(memoryBytes, qemu) / 1024}KiB`;
  const isOld = losesUpdates(memoryBytes, OLD_QEMU);
  const [message, advice] = isOld
    ? [
        "QEMU before 9.0 under TCG loses dirty pages in a migration when memory is a multiple of 256 KiB",
        `use QEMU 9.0 or later, or ${sound}`,
      ]
    : [
        "QEMU 9.0 and later under TCG may lose an update in a migration when memory is no multiple of 256 KiB",
        `use ${sound}`,
      ];
  return [{ code: "tcg-loses-dirty-pages", path: "memory", message, advice }];
}
