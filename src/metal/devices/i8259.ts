import { z } from "zod";
import type { DeviceKind } from "../device.ts";
import type { PhysicalMachine } from "../physical-machine.ts";
import type { Register } from "../registers.ts";

/** Intel 8259A data sheet (order number 231468), and the ELCR of the 82371SB (PIIX3), 2.5.5. */
const CHIPS = [
  { command: 0x20, data: 0x21, levels: 0x4d0 },
  { command: 0xa0, data: 0xa1, levels: 0x4d1 },
] as const;

const ICW1 = 0x10;
const ICW1_NEEDS_ICW4 = 0x01;
const ICW1_SINGLE = 0x02;
const OCW3 = 0x08;
const READ_REQUESTS = 0x0a;
const READ_IN_SERVICE = 0x0b;
const POLL = 0x0c;
const POLL_FOUND = 0x80;
const ALL_MASKED = 0xff;
const CASCADE = 2;

const registers: readonly Register[] = [
  { name: "IMR", at: "21h, A1h", kind: "readable", how: "read; written last of all devices" },
  {
    name: "IRR",
    at: "20h, A0h after OCW3",
    kind: "read-only",
    how: "read; level lines ask again by themselves, the timer's edge is made anew with the timer",
  },
  {
    name: "ISR",
    at: "20h, A0h after OCW3",
    kind: "internal",
    how: "read; set with poll commands, which acknowledge a line that asks",
  },
  { name: "ELCR", at: "4D0h, 4D1h", kind: "readable", how: "read and written" },
  { name: "ICW1", at: "20h, A0h", kind: "write-only", how: "from the monitor" },
  { name: "ICW2", at: "21h, A1h", kind: "write-only", how: "from the monitor" },
  { name: "ICW3", at: "21h, A1h", kind: "write-only", how: "from the monitor" },
  { name: "ICW4", at: "21h, A1h", kind: "write-only", how: "from the monitor" },
  {
    name: "step of the initialisation",
    at: "21h, A1h",
    kind: "internal",
    how: "from the monitor; repeated up to the same step",
  },
  { name: "OCW2 EOI", at: "20h, A0h", kind: "command", how: "its effect is in ISR" },
  {
    name: "OCW2 rotation",
    at: "20h, A0h",
    kind: "write-only",
    how: "from the monitor: the priority that was set; of rotation on EOI only that it is on",
  },
  {
    name: "OCW3 register to read",
    at: "20h, A0h",
    kind: "write-only",
    how: "from the monitor; capturing changes it and puts it back",
  },
  { name: "OCW3 special mask", at: "20h, A0h", kind: "write-only", how: "from the monitor" },
  { name: "OCW3 poll", at: "20h, A0h", kind: "command", how: "taken by the next read; not repeated" },
];

const byte = z.int().min(0).max(255);
const chipShadowSchema = z.strictObject({
  icw1: byte,
  icw2: byte,
  icw3: byte,
  icw4: byte,
  /** 0: initialised; otherwise the ICW that comes next. */
  step: z.int().min(0).max(4),
  readsInService: z.boolean(),
  specialMask: z.boolean(),
  /** The line of lowest priority. */
  lowest: z.int().min(0).max(7),
  rotatesOnAutoEoi: z.boolean(),
});
const chipStateSchema = z.strictObject({
  shadow: chipShadowSchema,
  mask: byte,
  requests: byte,
  inService: byte,
  levels: byte,
});
const shadowSchema = z.strictObject({ chips: z.tuple([chipShadowSchema, chipShadowSchema]) });
const stateSchema = z.strictObject({ chips: z.tuple([chipStateSchema, chipStateSchema]) });

type ChipShadow = z.output<typeof chipShadowSchema>;
type Shadow = z.output<typeof shadowSchema>;
/** Both interrupt controllers of a PC. */
export type I8259State = z.output<typeof stateSchema>;
type Chip = (typeof CHIPS)[number];
type ChipState = z.output<typeof chipStateSchema>;

function freshChip(): ChipShadow {
  return {
    ...{ icw1: 0, icw2: 0, icw3: 0, icw4: 0, step: 0 },
    ...{ readsInService: false, specialMask: false, lowest: 7, rotatesOnAutoEoi: false },
  };
}

/** The pair of 8259A interrupt controllers of a PC with the register that tells edge from level. */
export const i8259: DeviceKind<Shadow, I8259State> = {
  name: "i8259",
  title: "8259A interrupt controllers with ELCR",
  registers,
  shadowSchema,
  stateSchema,
  freshShadow: () => ({ chips: [freshChip(), freshChip()] }),

  observe(shadow, { space, address, value }) {
    if (space !== "port") return;
    for (const [index, chip] of CHIPS.entries()) {
      const own = shadow.chips[index]!;
      if (address === chip.command) observeCommand(own, value);
      else if (address === chip.data) observeData(own, value);
    }
  },

  async capture(machine, shadow, _where, disturbs = () => {}) {
    const unread = (own: ChipShadow) => ({ shadow: own, mask: 0, requests: 0, inService: 0, levels: 0 });
    disturbs({ chips: [unread(shadow.chips[0]), unread(shadow.chips[1])] });
    const chips: ChipState[] = [];
    for (const [index, chip] of CHIPS.entries()) {
      const own = shadow.chips[index]!;
      const [mask, , requests, , inService, , levels] = await Promise.all([
        machine.readPort(chip.data),
        machine.writePort(chip.command, READ_REQUESTS),
        machine.readPort(chip.command),
        machine.writePort(chip.command, READ_IN_SERVICE),
        machine.readPort(chip.command),
        machine.writePort(chip.command, readSelection(own)),
        machine.readPort(chip.levels),
      ]);
      chips.push({ shadow: { ...own }, mask, requests, inService, levels });
    }
    return { chips: [chips[0]!, chips[1]!] };
  },

  async restore(machine, state) {
    for (const [index, chip] of CHIPS.entries()) {
      const own = state.chips[index]!;
      await machine.writePort(chip.levels, own.levels);
      await initialise(machine, chip, own.shadow);
    }
    return [];
  },

  async finish(machine, state) {
    // Lines in service before the masks: acknowledging one needs it to ask unmasked. The slave's first, since its
    // acknowledgement asks for the master's.
    for (const index of [1, 0] as const) {
      const { inService, shadow } = state.chips[index];
      if (shadow.step === 0) await acknowledge(machine, CHIPS[index], inService);
    }
    for (const index of [1, 0] as const) {
      const { shadow, mask } = state.chips[index];
      const chip = CHIPS[index];
      if (shadow.step !== 0) await initialiseUpTo(machine, chip, shadow);
      else {
        if (shadow.specialMask) await machine.writePort(chip.command, 0x60 | OCW3);
        await machine.writePort(chip.command, readSelection(shadow));
        await machine.writePort(chip.data, mask);
      }
    }
  },

  // Reading changes only which register is read, and puts that back unless it is broken off.
  async undo(machine, state) {
    for (const [index, chip] of CHIPS.entries()) {
      await machine.writePort(chip.command, readSelection(state.chips[index]!.shadow));
    }
  },
};

/** The command by which the guest has chosen what it reads. */
function readSelection({ readsInService }: ChipShadow): number {
  return readsInService ? READ_IN_SERVICE : READ_REQUESTS;
}

/** Lines that were in service and are not after {@link i8259} has finished: no line asked that could be acknowledged. */
export async function missingInService(
  machine: PhysicalMachine,
  state: I8259State,
): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const [index, chip] of CHIPS.entries()) {
    const { inService, shadow } = state.chips[index]!;
    if (inService === 0 || shadow.step !== 0) continue;
    await machine.writePort(chip.command, READ_IN_SERVICE);
    const now = await machine.readPort(chip.command);
    await machine.writePort(chip.command, readSelection(shadow));
    for (let line = 0; line < 8; line++) {
      if ((inService & ~now & (1 << line)) === 0) continue;
      missing.push(
        `line ${index * 8 + line} is not in service: its device asks for nothing; its EOI does nothing then`,
      );
    }
  }
  return missing;
}

function observeCommand(own: ChipShadow, value: number): void {
  if ((value & ICW1) !== 0) {
    Object.assign(own, freshChip(), { icw1: value, step: 2 });
  } else if ((value & OCW3) !== 0) {
    if ((value & 0x02) !== 0) own.readsInService = (value & 0x01) !== 0;
    if ((value & 0x40) !== 0) own.specialMask = (value & 0x20) !== 0;
  } else {
    const command = value >> 5;
    if (command === 0 || command === 4) own.rotatesOnAutoEoi = command === 4;
    // A rotation whose line is named: with the EOI or by itself.
    else if (command === 6 || command === 7) own.lowest = value & 7;
  }
}

function observeData(own: ChipShadow, value: number): void {
  if (own.step === 2) {
    own.icw2 = value;
    own.step = (own.icw1 & ICW1_SINGLE) === 0 ? 3 : (own.icw1 & ICW1_NEEDS_ICW4) === 0 ? 0 : 4;
  } else if (own.step === 3) {
    own.icw3 = value;
    own.step = (own.icw1 & ICW1_NEEDS_ICW4) === 0 ? 0 : 4;
  } else if (own.step === 4) {
    own.icw4 = value;
    own.step = 0;
  }
}

/** The whole sequence, then everything masked. */
async function initialise(machine: PhysicalMachine, chip: Chip, shadow: ChipShadow): Promise<void> {
  if ((shadow.icw1 & ICW1) === 0) return;
  await initialiseUpTo(machine, chip, { ...shadow, step: 0 });
  await machine.writePort(chip.data, ALL_MASKED);
  if (shadow.rotatesOnAutoEoi) await machine.writePort(chip.command, 0x80);
  if (shadow.lowest !== 7) await machine.writePort(chip.command, 0xc0 | shadow.lowest);
}

/** The ICWs that the guest has written already; of a guest in the middle of them the others follow from itself. */
async function initialiseUpTo(machine: PhysicalMachine, chip: Chip, shadow: ChipShadow): Promise<void> {
  const { icw1, icw2, icw3, icw4, step } = shadow;
  const wasWritten = (icw: number) => step === 0 || icw < step;
  await machine.writePort(chip.command, icw1);
  if (wasWritten(2)) await machine.writePort(chip.data, icw2);
  if ((icw1 & ICW1_SINGLE) === 0 && wasWritten(3)) await machine.writePort(chip.data, icw3);
  if ((icw1 & ICW1_NEEDS_ICW4) !== 0 && wasWritten(4)) await machine.writePort(chip.data, icw4);
}

/** A poll command acknowledges the line that asks with the highest priority: the lowest goes first. */
async function acknowledge(machine: PhysicalMachine, chip: Chip, inService: number): Promise<void> {
  for (let line = 7; line >= 0; line--) {
    if ((inService & (1 << line)) === 0) continue;
    await machine.writePort(chip.data, ALL_MASKED & ~(1 << line));
    await machine.writePort(chip.command, POLL);
    const polled = await machine.readPort(chip.command);
    // The cascade asks only while the slave does, which its own acknowledgement has ended.
    if ((polled & POLL_FOUND) === 0 && line !== CASCADE) continue;
  }
  await machine.writePort(chip.data, ALL_MASKED);
}
