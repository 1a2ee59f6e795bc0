import type { DeviceKind } from "../device.ts";
import { e1000 } from "./e1000.ts";
import { i8254 } from "./i8254.ts";
import { i8259 } from "./i8259.ts";
import { ioapic } from "./ioapic.ts";
import { mc146818 } from "./mc146818.ts";
import { pcnet } from "./pcnet.ts";
import { rtl8139 } from "./rtl8139.ts";
import { uart16550 } from "./uart16550.ts";

// Kinds differ in what they keep; whoever goes through all of them only passes it on, checked by its schema.
const any = (kind: unknown) => kind as DeviceKind;

/** Every kind at a fixed place of a PC, in the order in which they are rebuilt. */
export const fixedDevices: readonly DeviceKind[] = [
  any(i8254),
  any(i8259),
  any(ioapic),
  any(uart16550),
  any(mc146818),
];

/** Every kind of PCI device. */
export const pciDevices: readonly DeviceKind[] = [any(rtl8139), any(pcnet), any(e1000)];

/** All of them. */
export const allDevices: readonly DeviceKind[] = [...fixedDevices, ...pciDevices];
