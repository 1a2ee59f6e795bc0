import { z } from "zod";
import type { DeviceKind } from "../device.ts";
import type { PhysicalMachine } from "../physical-machine.ts";
import type { Register } from "../registers.ts";

/** National Semiconductor PC16550D data sheet; the first serial port of a PC. */
const BASE = 0x3f8;
const DATA = BASE;
const IER = BASE + 1;
const IIR = BASE + 2;
const FCR = BASE + 2;
const LCR = BASE + 3;
const MCR = BASE + 4;
const LSR = BASE + 5;
const MSR = BASE + 6;
const SCR = BASE + 7;

const DLAB = 0x80;
const FIFOS_ON = 0xc0;
const FCR_ENABLE = 0x01;
const FCR_CLEAR = 0x06;
const FCR_KEPT = 0xc9;
const DATA_READY = 0x01;
const LOOP = 0x10;
const FIFO_BYTES = 16;

const registers: readonly Register[] = [
  {
    name: "RBR, receive FIFO",
    at: "3F8h",
    kind: "internal",
    how: "read until empty; put back byte by byte in loopback, at the source too",
  },
  {
    name: "THR, transmit FIFO",
    at: "3F8h",
    kind: "internal",
    how: "not captured: a stopped machine's has been sent",
  },
  { name: "IER", at: "3F9h", kind: "readable", how: "read and written, last" },
  {
    name: "IIR",
    at: "3FAh",
    kind: "read-only",
    how: "follows from the others; says whether the FIFOs are on",
  },
  { name: "FCR trigger level", at: "3FAh", kind: "write-only", how: "from the monitor" },
  { name: "LCR", at: "3FBh", kind: "readable", how: "read and written" },
  { name: "MCR", at: "3FCh", kind: "readable", how: "read and written" },
  {
    name: "LSR",
    at: "3FDh",
    kind: "read-only",
    how: "follows from the FIFOs; error bits of received bytes are not set",
  },
  {
    name: "MSR",
    at: "3FEh",
    kind: "read-only",
    how: "the line's; its change bits are lost by reading, and not set",
  },
  { name: "SCR", at: "3FFh", kind: "readable", how: "read and written" },
  { name: "divisor latch", at: "3F8h, 3F9h with DLAB", kind: "readable", how: "read and written" },
  {
    name: "transmit interrupt pending",
    at: "3FAh",
    kind: "internal",
    how: "writing IER raises it when the transmitter is empty; one too many does nothing",
  },
];

const byte = z.int().min(0).max(255);
const shadowSchema = z.strictObject({ fcr: byte });
const stateSchema = z.strictObject({
  present: z.boolean(),
  fcr: byte,
  fifosOn: z.boolean(),
  ier: byte,
  lcr: byte,
  mcr: byte,
  scr: byte,
  divisor: z.int().min(0).max(0xffff),
  received: z.array(byte).max(FIFO_BYTES),
});

type Shadow = z.output<typeof shadowSchema>;
/** The first serial port. */
export type Uart16550State = z.output<typeof stateSchema>;

/** The first serial port of a PC. */
export const uart16550: DeviceKind<Shadow, Uart16550State> = {
  name: "uart16550",
  title: "16550 serial port",
  registers,
  shadowSchema,
  stateSchema,
  freshShadow: () => ({ fcr: 0 }),

  observe(shadow, { space, address, value }) {
    if (space === "port" && address === FCR) shadow.fcr = value;
  },

  async capture(machine, shadow, _where, disturbs = () => {}) {
    const scr = await machine.readPort(SCR);
    const lcr = await machine.readPort(LCR);
    const mcr = await machine.readPort(MCR);
    // Nobody answers there on a machine without one.
    if (lcr === 0xff && mcr === 0xff) {
      const none = { ier: 0, lcr: 0, mcr: 0, scr: 0, divisor: 0, fcr: 0, fifosOn: false };
      return { present: false, ...none, received: [] };
    }
    // In one go, so that nobody finds other registers chosen.
    const [, low, high, , ier] = await Promise.all([
      machine.writePort(LCR, lcr | DLAB),
      machine.readPort(DATA),
      machine.readPort(IER),
      machine.writePort(LCR, lcr & ~DLAB),
      machine.readPort(IER),
      machine.writePort(LCR, lcr),
    ]);
    const divisor = low | (high << 8);
    const fcr = shadow.fcr & FCR_KEPT;
    disturbs({ present: true, fcr, fifosOn: false, ier, lcr, mcr, scr, divisor, received: [] });
    await machine.writePort(LCR, lcr & ~DLAB);
    await machine.writePort(IER, 0);
    const fifosOn = ((await machine.readPort(IIR)) & FIFOS_ON) === FIFOS_ON;
    const received: number[] = [];
    while (received.length < FIFO_BYTES && ((await machine.readPort(LSR)) & DATA_READY) !== 0) {
      received.push(await machine.readPort(DATA));
    }
    await putBack(machine, received, mcr);
    await machine.writePort(LCR, lcr);
    return { present: true, fcr, fifosOn, ier, lcr, mcr, scr, divisor, received };
  },

  async restore(machine, state) {
    if (!state.present) return [];
    await machine.writePort(LCR, DLAB);
    await machine.writePort(DATA, state.divisor & 0xff);
    await machine.writePort(IER, state.divisor >> 8);
    await machine.writePort(LCR, state.lcr & ~DLAB);
    await machine.writePort(IER, 0);
    await machine.writePort(FCR, state.fifosOn ? state.fcr | FCR_ENABLE | FCR_CLEAR : 0);
    await machine.writePort(SCR, state.scr);
    await putBack(machine, state.received, state.mcr);
    await machine.writePort(MCR, state.mcr);
    await machine.writePort(LCR, state.lcr);
    return [];
  },

  async finish(machine, state) {
    if (state.present) await setInterrupts(machine, state);
  },

  async undo(machine, state) {
    if (state.present) await setInterrupts(machine, state);
  },
};

async function setInterrupts(machine: PhysicalMachine, { ier, lcr, mcr }: Uart16550State): Promise<void> {
  await machine.writePort(MCR, mcr);
  await machine.writePort(LCR, lcr & ~DLAB);
  await machine.writePort(IER, ier);
  await machine.writePort(LCR, lcr);
  // Clears what the loopback has changed of the modem lines' change bits.
  await machine.readPort(MSR);
}

/** In loopback what is transmitted is received, and nothing leaves. */
async function putBack(machine: PhysicalMachine, bytes: readonly number[], mcr: number): Promise<void> {
  if (bytes.length === 0) return;
  await machine.writePort(MCR, mcr | LOOP);
  for (const value of bytes) await machine.writePort(DATA, value);
  await machine.writePort(MCR, mcr);
}
