import { z } from "zod";
import { type PciAddress, PciConfig } from "../pci.ts";
import type { PhysicalMachine } from "../physical-machine.ts";
import type { Register } from "../registers.ts";

const COMMAND = 0x04;
const CACHE_LINE = 0x0c;
const LATENCY = 0x0d;
const FIRST_BASE = 0x10;
const BASES = 6;
const INTERRUPT_LINE = 0x3c;

const IO_SPACE = 1;

/** What PCI function a device is: the same for every one (PCI Local Bus Specification 3.0, 6.1). */
export const pciRegisters: readonly Register[] = [
  { name: "PCI command", at: "config 04h", kind: "readable", how: "read; written after the base addresses" },
  { name: "PCI status", at: "config 06h", kind: "read-only", how: "error bits, cleared by writing; not set" },
  {
    name: "cache line size, latency timer",
    at: "config 0Ch, 0Dh",
    kind: "readable",
    how: "read and written",
  },
  {
    name: "base addresses",
    at: "config 10h–27h",
    kind: "readable",
    how: "read and written, with decoding off",
  },
  { name: "interrupt line", at: "config 3Ch", kind: "readable", how: "read and written" },
];

/** The schema of {@link PciState}. */
export const pciStateSchema = z.strictObject({
  command: z.int().min(0).max(0xffff),
  cacheLine: z.int().min(0).max(255),
  latency: z.int().min(0).max(255),
  bases: z.array(z.int().min(0).max(0xffff_ffff)).length(BASES),
  interruptLine: z.int().min(0).max(255),
});

/** The settable part of a function's configuration. */
export type PciState = z.output<typeof pciStateSchema>;

/** Reads a function's configuration; the machine is stopped. */
export async function capturePci(machine: PhysicalMachine, at: PciAddress): Promise<PciState> {
  const config = await PciConfig.begin(machine);
  const [command, cacheLine, latency, interruptLine, ...bases] = await Promise.all([
    config.read(at, COMMAND, 2),
    config.read(at, CACHE_LINE, 1),
    config.read(at, LATENCY, 1),
    config.read(at, INTERRUPT_LINE, 1),
    ...Array.from({ length: BASES }, (_, base) => config.read(at, FIRST_BASE + 4 * base)),
  ]);
  await config.done();
  return {
    command: command!,
    cacheLine: cacheLine!,
    latency: latency!,
    interruptLine: interruptLine!,
    bases,
  };
}

/** Sets it; decoding is switched on last, when the addresses stand. */
export async function restorePci(machine: PhysicalMachine, at: PciAddress, state: PciState): Promise<void> {
  const config = await PciConfig.begin(machine);
  await config.write(at, COMMAND, 0, 2);
  for (let base = 0; base < BASES; base++) await config.write(at, FIRST_BASE + 4 * base, state.bases[base]!);
  await config.write(at, CACHE_LINE, state.cacheLine, 1);
  await config.write(at, LATENCY, state.latency, 1);
  await config.write(at, INTERRUPT_LINE, state.interruptLine, 1);
  await config.write(at, COMMAND, state.command, 2);
  await config.done();
}

/** The address of the first memory (or I/O) region that a function decodes; null where it decodes none. */
export function decodedBase(state: PciState, space: "memory" | "port"): number | null {
  const enabled = (state.command & (space === "port" ? 1 : 2)) !== 0;
  if (!enabled) return null;
  const base = state.bases.find((value) => {
    return value !== 0 && ((value & IO_SPACE) === 1) === (space === "port");
  });
  if (base === undefined) return null;
  return space === "port" ? (base & ~3) >>> 0 : (base & ~15) >>> 0;
}
