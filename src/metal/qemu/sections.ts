import type { PresentDevice } from "../inventory.ts";

/** The names of QEMU's device sections that hold a device which is rebuilt: they are cut out of its stream. */
export function sectionsOf(devices: readonly PresentDevice[]): readonly string[] {
  return devices.map(({ kind, where }) => {
    if (where.pci === null) return fixedSections[kind.name] ?? kind.name;
    const slot = where.pci.slot.toString(16).padStart(2, "0");
    return `0000:00:${slot}.${where.pci.fn}/${kind.name}`;
  });
}

/** Where QEMU's name is another than ours. */
const fixedSections: Readonly<Record<string, string>> = { uart16550: "serial", mc146818: "mc146818rtc" };
