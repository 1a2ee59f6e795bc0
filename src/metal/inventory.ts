import { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import type { DeviceContext, DeviceKind } from "./device.ts";
import { allDevices, fixedDevices, pciDevices } from "./devices/index.ts";
import { PciConfig, type PciFunction, pciName } from "./pci.ts";
import type { PhysicalMachine } from "./physical-machine.ts";

/** A device of a machine that is rebuilt. */
export interface PresentDevice {
  readonly kind: DeviceKind;
  readonly where: DeviceContext;
  /** Unique in the machine: the kind's name, and the slot of PCI devices. */
  readonly key: string;
}

/** The schema of {@link DescribedDevice}s. */
export const describedDevicesSchema = z.array(
  z.strictObject({
    kind: z.string(),
    pci: z
      .strictObject({
        slot: z.int().min(0).max(31),
        fn: z.int().min(0).max(7),
        vendor: z.int(),
        device: z.int(),
        classCode: z.int(),
      })
      .nullable(),
  }),
);

/** A device of a machine as plain data. */
export type DescribedDevice = z.output<typeof describedDevicesSchema>[number];

/** Devices as plain data: what a machine consists of doesn't change while it runs. */
export function describeDevices(devices: readonly PresentDevice[]): DescribedDevice[] {
  return devices.map(({ kind, where }) => ({ kind: kind.name, pci: where.pci }));
}

/** The devices that were described; null when one of them isn't known (any more). */
export function devicesFrom(described: readonly DescribedDevice[]): readonly PresentDevice[] | null {
  const devices = described.map(({ kind: name, pci }) => {
    const kind = allDevices.find((known) => known.name === name);
    return kind === undefined ? null : { kind, where: { pci }, key: keyOf(kind, pci) };
  });
  return devices.every((device) => device !== null) ? devices : null;
}

function keyOf(kind: DeviceKind, pci: PciFunction | null): string {
  return pci === null ? kind.name : `${kind.name}@${pci.slot}.${pci.fn}`;
}

/**
 * Functions of the chipset whose state any board of the kind has from its own firmware on, or that travels with the
 * processor: by vendor and device. Everything else must be rebuilt, or the machine can't move.
 */
const CHIPSET: ReadonlyMap<number, string> = new Map([
  [0x8086_1237, "82441FX host bridge"],
  [0x8086_7000, "82371SB ISA bridge"],
  [0x8086_7010, "82371SB IDE controller"],
  [0x8086_7113, "82371AB power management"],
]);

/**
 * Finds out what a stopped machine consists of.
 * @throws GodwitError `GODWIT_METAL_UNKNOWN_DEVICE` with the names of the devices that can't be moved
 */
export async function takeInventory(machine: PhysicalMachine): Promise<readonly PresentDevice[]> {
  const config = await PciConfig.begin(machine);
  const functions = await config.functions();
  await config.done();
  const present: PresentDevice[] = fixedDevices.map((kind) => ({
    kind,
    where: { pci: null },
    key: kind.name,
  }));
  const unknown: string[] = [];
  for (const fn of functions) {
    if (CHIPSET.has(((fn.vendor << 16) | fn.device) >>> 0)) continue;
    const kind = pciDevices.find((candidate) => candidate.matches!(fn));
    if (kind === undefined) unknown.push(`${pciName(fn)} (${className(fn)})`);
    else present.push({ kind, where: { pci: fn }, key: keyOf(kind, fn) });
  }
  if (unknown.length === 0) return present;
  throw new GodwitError("GODWIT_METAL_UNKNOWN_DEVICE", `not known how to move: ${unknown.join(", ")}`, {
    vmState: "running, nothing was moved",
    advice: "take the device out, or describe it in src/metal/devices (docs/metal.md says how)",
  });
}

/** PCI Local Bus Specification 3.0, appendix D. */
function className({ classCode }: PciFunction): string {
  const names: Readonly<Record<number, string>> = {
    1: "storage",
    2: "network",
    3: "display",
    4: "multimedia",
    6: "bridge",
    7: "communication",
    12: "serial bus",
  };
  return names[classCode >> 8] ?? `class ${(classCode >> 8).toString(16)}`;
}
