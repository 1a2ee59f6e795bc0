import { z } from "zod";
import type { DeviceKind } from "../device.ts";
import type { PhysicalMachine } from "../physical-machine.ts";
import type { Register } from "../registers.ts";

/** Motorola MC146818A data sheet; ports of the PC/AT, 128 bytes as the 82371SB has them. */
const INDEX = 0x70;
const DATA = 0x71;
const CELLS = 128;

const SECONDS = 0x00;
const YEAR = 0x09;
const REGISTER_A = 0x0a;
const REGISTER_B = 0x0b;
const REGISTER_C = 0x0c;
const REGISTER_D = 0x0d;
const SET = 0x80;
const UPDATE_IN_PROGRESS = 0x80;
const INTERRUPTS = 0x70;

const registers: readonly Register[] = [
  { name: "index, NMI mask", at: "70h", kind: "write-only", how: "from the monitor" },
  {
    name: "time and date",
    at: "00h, 02h, 04h, 06h–09h",
    kind: "readable",
    how: "read and written with updates held; the clock loses the pause, and up to a second",
  },
  { name: "alarms", at: "01h, 03h, 05h", kind: "readable", how: "read and written" },
  { name: "register A", at: "0Ah", kind: "readable", how: "read and written, without its update bit" },
  {
    name: "register B",
    at: "0Bh",
    kind: "readable",
    how: "read and written last, with the interrupts that it permits",
  },
  {
    name: "register C",
    at: "0Ch",
    kind: "read-only",
    how: "not read, since that clears it: a tick that was pending is lost, the next one comes",
  },
  { name: "register D", at: "0Dh", kind: "read-only", how: "the battery's" },
  { name: "memory", at: "0Eh–7Fh", kind: "readable", how: "read and written" },
  { name: "divider phase", at: "none", kind: "internal", how: "begins anew" },
];

const byte = z.int().min(0).max(255);
const shadowSchema = z.strictObject({ index: byte });
const stateSchema = z.strictObject({ index: byte, cells: z.array(byte).length(CELLS) });

type Shadow = z.output<typeof shadowSchema>;
/** The real-time clock and its memory. */
export type Mc146818State = z.output<typeof stateSchema>;

/** The real-time clock of a PC with its memory. */
export const mc146818: DeviceKind<Shadow, Mc146818State> = {
  name: "mc146818",
  title: "MC146818 real-time clock",
  registers,
  shadowSchema,
  stateSchema,
  freshShadow: () => ({ index: 0 }),

  observe(shadow, { space, address, value }) {
    if (space === "port" && address === INDEX) shadow.index = value & 0xff;
  },

  async capture(machine, shadow, _where, disturbs = () => {}) {
    disturbs({ index: shadow.index, cells: Array.from({ length: CELLS }, () => 0) });
    const cells = Array.from({ length: CELLS }, async (_, cell) => {
      return cell === REGISTER_C ? 0 : read(machine, cell);
    });
    const values = await Promise.all(cells);
    await machine.writePort(INDEX, shadow.index);
    return { index: shadow.index, cells: values };
  },

  async restore(machine, state) {
    const { cells } = state;
    await write(machine, REGISTER_B, (cells[REGISTER_B]! & ~INTERRUPTS) | SET);
    await write(machine, REGISTER_A, cells[REGISTER_A]! & ~UPDATE_IN_PROGRESS);
    for (let cell = SECONDS; cell < CELLS; cell++) {
      if (cell <= YEAR || cell > REGISTER_D) await write(machine, cell, cells[cell]!);
    }
    await write(machine, REGISTER_B, cells[REGISTER_B]! & ~INTERRUPTS);
    return [];
  },

  async finish(machine, state) {
    await write(machine, REGISTER_B, state.cells[REGISTER_B]!);
    await machine.writePort(INDEX, state.index);
  },

  // Reading changes only the index, and puts that back unless it is broken off.
  async undo(machine, state) {
    await machine.writePort(INDEX, state.index);
  },
};

function read(machine: PhysicalMachine, cell: number): Promise<number> {
  const selected = machine.writePort(INDEX, cell);
  const value = machine.readPort(DATA);
  return selected.then(() => value);
}

async function write(machine: PhysicalMachine, cell: number, value: number): Promise<void> {
  await machine.writePort(INDEX, cell);
  await machine.writePort(DATA, value);
}
