import { z } from "zod";
import type { DeviceKind } from "../device.ts";
import type { PhysicalMachine } from "../physical-machine.ts";
import type { Register } from "../registers.ts";

/** Intel 8254 data sheet (order number 231164); port 61h of the PC/AT. */
const CONTROL = 0x43;
const COUNTERS = [0x40, 0x41, 0x42] as const;
const SPEAKER = 0x61;
const SPEAKER_SETTABLE = 0x0f;

/** Read-back commands; a bit from 1 on chooses the counter. */
const READ_BACK_STATUS_ONLY = 0xe0;
const READ_BACK_COUNT_ONLY = 0xd0;

const STATUS_OUTPUT = 0x80;
const STATUS_NULL_COUNT = 0x40;

const registers: readonly Register[] = [
  {
    name: "mode, access, BCD",
    at: "43h",
    kind: "readable",
    how: "by read-back status; control word written",
  },
  {
    name: "counter",
    at: "40h–42h",
    kind: "readable",
    how: "latched and read; of a one-shot that runs the remaining count is written, of one that is over 1: it is over at once",
  },
  {
    name: "reload value",
    at: "40h–42h",
    kind: "write-only",
    how: "from the monitor; written to periodic counters",
  },
  { name: "output pin", at: "43h read-back", kind: "read-only", how: "read; follows from mode and count" },
  {
    name: "phase of a periodic counter",
    at: "40h–42h",
    kind: "internal",
    how: "not set: one period begins anew",
  },
  {
    name: "half-written count",
    at: "40h–42h",
    kind: "internal",
    how: "from the monitor; the first byte is written again",
  },
  {
    name: "counter latch",
    at: "43h",
    kind: "internal",
    how: "found by reading twice; latched again, at the count of the capture",
  },
  { name: "gate 2, speaker", at: "61h", kind: "readable", how: "read and written" },
];

const word = z.int().min(0).max(0xffff);
const counterShadowSchema = z.strictObject({
  /** The last control word for this counter, -1 before the first. */
  control: z.int().min(-1).max(255),
  reload: word,
  /** The first byte of a two-byte count that lacks its second, -1 where none does. */
  firstByte: z.int().min(-1).max(255),
});
const counterStateSchema = z.strictObject({
  shadow: counterShadowSchema,
  status: z.int().min(0).max(255),
  count: word,
  latched: z.boolean(),
});
const triple = <Item extends z.ZodType>(item: Item) => z.tuple([item, item, item]);
const shadowSchema = z.strictObject({ counters: triple(counterShadowSchema) });
const stateSchema = z.strictObject({
  counters: triple(counterStateSchema),
  speaker: z.int().min(0).max(255),
});

type CounterShadow = z.output<typeof counterShadowSchema>;
type CounterState = z.output<typeof counterStateSchema>;
type Shadow = z.output<typeof shadowSchema>;
/** The interval timer of a PC. */
export type I8254State = z.output<typeof stateSchema>;

const freshCounter = (): CounterShadow => ({ control: -1, reload: 0, firstByte: -1 });

/** The 8254 interval timer of a PC. */
export const i8254: DeviceKind<Shadow, I8254State> = {
  name: "i8254",
  title: "8254 interval timer",
  registers,
  shadowSchema,
  stateSchema,
  freshShadow: () => ({ counters: [freshCounter(), freshCounter(), freshCounter()] }),

  observe(shadow, { space, address, value }) {
    if (space !== "port") return;
    if (address === CONTROL) {
      const counter = shadow.counters[value >> 6];
      const isLatch = (value & 0x30) === 0;
      if (counter !== undefined && !isLatch) Object.assign(counter, { control: value, firstByte: -1 });
    } else {
      const counter = shadow.counters[address - COUNTERS[0]];
      if (counter !== undefined) observeCount(counter, value);
    }
  },

  async capture(machine, shadow) {
    const counters: CounterState[] = [];
    for (const [index, port] of COUNTERS.entries()) {
      const own = shadow.counters[index]!;
      const first = await readCount(machine, port, own.control);
      await machine.writePort(CONTROL, READ_BACK_STATUS_ONLY | (2 << index));
      const status = await machine.readPort(port);
      await machine.writePort(CONTROL, READ_BACK_COUNT_ONLY | (2 << index));
      const count = await readCount(machine, port, status);
      // The machine stands still, and so does the count: what differs had been latched before.
      const latched = own.control !== -1 && first !== count;
      if (latched) await machine.writePort(CONTROL, index << 6);
      counters.push({ shadow: { ...own }, status, count, latched });
    }
    const speaker = (await machine.readPort(SPEAKER)) & SPEAKER_SETTABLE;
    return { counters: [counters[0]!, counters[1]!, counters[2]!], speaker };
  },

  async restore(machine, state) {
    await machine.writePort(SPEAKER, state.speaker);
    for (const [index, port] of COUNTERS.entries()) {
      const own = state.counters[index]!;
      if (own.shadow.control === -1) continue;
      await setCounter(machine, index, port, own);
    }
    return [];
  },

  // What was latched is latched again at the same count when it is captured.
  async undo() {},
};

/** Makes the timer's output rise once, as an edge for the interrupt controller; the counter is then set again. */
export async function raiseTimerEdge(machine: PhysicalMachine, state: I8254State): Promise<void> {
  // Mode 0 takes the output low at once, mode 3 high with its count.
  for (const control of [0x30, 0x36]) {
    await machine.writePort(CONTROL, control);
    await machine.writePort(COUNTERS[0], 0xff);
    await machine.writePort(COUNTERS[0], 0xff);
  }
  if (state.counters[0].shadow.control !== -1) await setCounter(machine, 0, COUNTERS[0], state.counters[0]);
}

/** Whether a mode counts once and then is over: all but the rate and the square wave generator. */
function isOneShot(mode: number): boolean {
  return mode !== 2 && mode !== 3;
}

function modeOf(control: number): number {
  const mode = (control >> 1) & 7;
  return mode > 5 ? mode - 4 : mode;
}

function accessOf(control: number): number {
  return (control >> 4) & 3;
}

function observeCount(counter: CounterShadow, value: number): void {
  const access = accessOf(counter.control);
  if (access === 1) counter.reload = value;
  else if (access === 2) counter.reload = value << 8;
  else if (counter.firstByte === -1) counter.firstByte = value;
  else {
    counter.reload = counter.firstByte | (value << 8);
    counter.firstByte = -1;
  }
}

async function readCount(machine: PhysicalMachine, port: number, control: number): Promise<number> {
  const access = accessOf(control);
  if (access === 2) return (await machine.readPort(port)) << 8;
  if (access === 1) return machine.readPort(port);
  const [low, high] = await Promise.all([machine.readPort(port), machine.readPort(port)]);
  return low! | (high! << 8);
}

async function setCounter(
  machine: PhysicalMachine,
  index: number,
  port: number,
  own: CounterState,
): Promise<void> {
  const { shadow, status, count, latched } = own;
  const control = (index << 6) | (status & 0x3f);
  const access = accessOf(control);
  await machine.writePort(CONTROL, control);
  // Counts that were never given are not counted, and a status with this bit says so.
  const isLoaded = (status & STATUS_NULL_COUNT) === 0;
  if (isLoaded) {
    const mode = modeOf(control);
    // In mode 0 the output stays high when the count is over, whatever it goes on to.
    const isOver = mode === 0 && (status & STATUS_OUTPUT) !== 0;
    const value = !isOneShot(mode) ? shadow.reload : isOver ? 1 : remaining(shadow, count);
    if (access !== 2) await machine.writePort(port, value & 0xff);
    if (access !== 1) await machine.writePort(port, value >> 8);
  }
  if (shadow.firstByte !== -1 && access === 3) await machine.writePort(port, shadow.firstByte);
  if (latched) await machine.writePort(CONTROL, index << 6);
}

/** A one-shot that is over counts on below 0; it would be long until it came around: 1 asks for it at once. */
function remaining(shadow: CounterShadow, count: number): number {
  const whole = shadow.reload === 0 ? 0x1_0000 : shadow.reload;
  return count === 0 || count > whole ? 1 : count;
}
