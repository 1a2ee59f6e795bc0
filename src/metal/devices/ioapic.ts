import { z } from "zod";
import type { DeviceKind } from "../device.ts";
import type { PhysicalMachine } from "../physical-machine.ts";
import type { Register } from "../registers.ts";
import { type NoShadow, noShadow } from "./no-shadow.ts";

/** Intel 82093AA data sheet (order number 290566). */
const SELECT = 0xfec0_0000;
const WINDOW = 0xfec0_0010;
const ID = 0;
const VERSION = 1;
const FIRST_ENTRY = 0x10;

/** The largest that the version register can tell. */
const MAX_ENTRIES = 240;

const MASKED = 0x1_0000;
/** Delivery status and remote IRR: the chip's own. */
const OWN_BITS = 0x5000;

const registers: readonly Register[] = [
  {
    name: "IOREGSEL",
    at: "FEC00000h",
    kind: "readable",
    how: "read and written; capturing changes it and puts it back",
  },
  { name: "IOAPICID", at: "00h", kind: "readable", how: "read and written" },
  { name: "IOAPICVER", at: "01h", kind: "read-only", how: "read: the number of entries must be the same" },
  { name: "IOAPICARB", at: "02h", kind: "read-only", how: "follows from the id" },
  {
    name: "redirection entries",
    at: "10h–3Fh",
    kind: "readable",
    how: "read; written masked first, unmasked last of all devices",
  },
  {
    name: "delivery status",
    at: "10h–3Fh, bit 12",
    kind: "internal",
    how: "not set: lines ask again by themselves",
  },
  {
    name: "remote IRR",
    at: "10h–3Fh, bit 14",
    kind: "internal",
    how: "not set: a level line that still asks is delivered once more, which its handler finds out",
  },
];

const word = z.int().min(0).max(0xffff_ffff);
const stateSchema = z.strictObject({
  present: z.boolean(),
  select: word,
  id: word,
  entries: z.array(z.strictObject({ low: word, high: word })).max(MAX_ENTRIES),
});

/** The I/O APIC's registers. */
export type IoapicState = z.output<typeof stateSchema>;

/** The I/O APIC of a PC. */
export const ioapic: DeviceKind<NoShadow, IoapicState> = {
  name: "ioapic",
  title: "82093AA I/O APIC",
  registers,
  ...noShadow,
  stateSchema,

  async capture(machine, _shadow, _where, disturbs = () => {}) {
    const select = await machine.readRegister(SELECT);
    // Nobody answers there on a machine without one.
    if (select === 0xffff_ffff) return { present: false, select: 0, id: 0, entries: [] };
    disturbs({ present: true, select, id: 0, entries: [] });
    const [version, id] = await Promise.all([read(machine, VERSION), read(machine, ID)]);
    const count = Math.min(((version >>> 16) & 0xff) + 1, MAX_ENTRIES);
    const halves = Array.from({ length: 2 * count }, (_, half) => read(machine, FIRST_ENTRY + half));
    const values = await Promise.all(halves);
    const entries = Array.from({ length: count }, (_, entry) => {
      return { low: values[2 * entry]!, high: values[2 * entry + 1]! };
    });
    await machine.writeRegister(SELECT, select);
    return { present: true, select, id, entries };
  },

  async restore(machine, state) {
    if (!state.present) return [];
    await write(machine, ID, state.id);
    for (const [entry, { low, high }] of state.entries.entries()) {
      await write(machine, FIRST_ENTRY + 2 * entry + 1, high);
      await write(machine, FIRST_ENTRY + 2 * entry, ((low & ~OWN_BITS) | MASKED) >>> 0);
    }
    await machine.writeRegister(SELECT, state.select);
    return [];
  },

  async finish(machine, state) {
    if (!state.present) return;
    for (const [entry, { low }] of state.entries.entries()) {
      if ((low & MASKED) === 0) await write(machine, FIRST_ENTRY + 2 * entry, (low & ~OWN_BITS) >>> 0);
    }
    await machine.writeRegister(SELECT, state.select);
  },

  // Reading changes only which register is selected, and puts that back unless it is broken off.
  async undo(machine, state) {
    if (state.present) await machine.writeRegister(SELECT, state.select);
  },
};

function read(machine: PhysicalMachine, index: number): Promise<number> {
  const selected = machine.writeRegister(SELECT, index);
  const value = machine.readRegister(WINDOW);
  return selected.then(() => value);
}

async function write(machine: PhysicalMachine, index: number, value: number): Promise<void> {
  await machine.writeRegister(SELECT, index);
  await machine.writeRegister(WINDOW, value);
}
