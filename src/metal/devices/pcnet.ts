import { z } from "zod";
import { GodwitError } from "../../base/errors.ts";
import type { DeviceKind } from "../device.ts";
import type { PhysicalMachine } from "../physical-machine.ts";
import type { Register } from "../registers.ts";
import { type NoShadow, noShadow } from "./no-shadow.ts";
import { capturePci, decodedBase, pciRegisters, pciStateSchema, restorePci } from "./pci-state.ts";

/** AMD Am79C970A PCnet-PCI II data sheet (publication 19436). */
const VENDOR = 0x1022;
const DEVICE = 0x2000;

/** Offsets with 16-bit accesses, which is how the chip comes out of a reset and how Linux drives it. */
const DATA_PORT = 0x10;
const ADDRESS_PORT = 0x12;
const RESET_PORT = 0x14;
const BUS_DATA_PORT = 0x16;

const INIT = 0x0001;
const START = 0x0002;
const INTERRUPTS_ON = 0x0040;
const INIT_DONE = 0x0100;
const CAUSES = 0x7f00;
/** The chip clears it when it has looked at its transmit ring. */
const TRANSMIT_DEMAND = 0x0008;
const SUSPEND = 0x0001;
/** Of CSR4: bits that are cleared by writing ones. */
const CSR4_CAUSES = 0x026a;
/** Of CSR5, likewise. */
const CSR5_CAUSES = 0x0a90;

const INIT_BLOCK = [1, 2] as const;
/** Written while the chip is suspended; 72 and 74 count the descriptors that are left in each ring. */
const SAVED = [3, 8, 9, 10, 11, 12, 13, 14, 15, 46, 47, 76, 78, 72, 74, 112] as const;
const BUS_SAVED = [2, 4, 5, 6, 7, 9, 20, 22] as const;
/** Those that say what lights an LED, and whether it shines, which can't be set. */
const LEDS: ReadonlySet<number> = new Set([4, 5, 6, 7]);
const LED_OUTPUT = 0x8000;

const registers: readonly Register[] = [
  ...pciRegisters,
  {
    name: "RAP",
    at: "12h",
    kind: "readable",
    how: "read and written; capturing changes it and puts it back",
  },
  {
    name: "CSR0 control",
    at: "CSR0",
    kind: "readable",
    how: "read; INIT and STRT given again, a transmit demand and the interrupt enable last",
  },
  {
    name: "CSR0 causes",
    at: "CSR0",
    kind: "read-only",
    how: "can't be set: where one was pending, the one of the initialisation stays, and the driver looks at its rings",
  },
  {
    name: "initialisation block address",
    at: "CSR1, CSR2",
    kind: "readable",
    how: "read and written; the block is in memory",
  },
  { name: "masks and modes", at: "CSR3, CSR4, CSR5", kind: "readable", how: "read and written" },
  {
    name: "address filter, address, mode",
    at: "CSR8–15",
    kind: "readable",
    how: "read and written while suspended; the address moves along",
  },
  {
    name: "ring base addresses",
    at: "CSR24, 25, 30, 31",
    kind: "internal",
    how: "set by the initialisation from its block",
  },
  { name: "polling", at: "CSR46, CSR47", kind: "readable", how: "read and written while suspended" },
  { name: "ring lengths", at: "CSR76, CSR78", kind: "readable", how: "read and written while suspended" },
  {
    name: "next descriptors",
    at: "CSR72, CSR74",
    kind: "readable",
    how: "read and written while suspended: with CSR5's SPND no dummy is needed",
  },
  { name: "missed frames", at: "CSR112", kind: "statistic", how: "read and written while suspended" },
  { name: "bus configuration", at: "BCR2, 4–7, 9, 20, 22", kind: "readable", how: "read and written" },
  {
    name: "BCR18",
    at: "BCR18",
    kind: "readable",
    how: "left as after a reset; 32-bit accesses are not supported",
  },
  { name: "reset", at: "14h", kind: "command", how: "given at the destination" },
  { name: "address PROM", at: "00h–0Fh", kind: "read-only", how: "the hardware's" },
];

const word = z.int().min(0).max(0xffff);
const stateSchema = z.strictObject({
  pci: pciStateSchema,
  isMapped: z.boolean(),
  address: word,
  control: word,
  csr4: word,
  csr5: word,
  initBlock: z.array(word).max(INIT_BLOCK.length),
  values: z.array(word).max(SAVED.length),
  bus: z.array(word).max(BUS_SAVED.length),
});

/** A PCnet-PCI II. */
export type PcnetState = z.output<typeof stateSchema>;

/** AMD's PCnet-PCI II: descriptor rings whose pointers can be read and written once the chip is suspended. */
export const pcnet: DeviceKind<NoShadow, PcnetState> = {
  name: "pcnet",
  title: "Am79C970A PCnet-PCI II Ethernet",
  registers,
  ...noShadow,
  stateSchema,
  matches: ({ vendor, device }) => vendor === VENDOR && device === DEVICE,

  async capture(machine, _shadow, { pci }, disturbs = () => {}) {
    const config = await capturePci(machine, pci!);
    const base = decodedBase(config, "port");
    if (base === null) return unmapped(config);
    const chip = new Chip(machine, base);
    const address = await machine.readPort(base + ADDRESS_PORT, 2);
    if (address === 0xffff) {
      throw new GodwitError(
        "GODWIT_METAL_DEVICE_MODE",
        `the PCnet in slot ${pci!.slot} is driven with 32-bit accesses`,
        {
          advice: "use a driver that leaves it at 16 bits, as Linux's does",
        },
      );
    }
    // In one go, so that nobody finds another register chosen.
    const [csr5, control, csr4] = await Promise.all([
      chip.read(5),
      chip.read(0),
      chip.read(4),
      machine.writePort(base + ADDRESS_PORT, address, 2),
    ]);
    disturbs({ ...unmapped(config), isMapped: true, address, control, csr4, csr5 });
    // Suspended, the chip looks at no ring by itself any more.
    await chip.write(5, (csr5 & ~CSR5_CAUSES) | SUSPEND);
    await chip.write(0, 0);
    const initBlock = await Promise.all(INIT_BLOCK.map((index) => chip.read(index)));
    const values = await Promise.all(SAVED.map((index) => chip.read(index)));
    const bus = await Promise.all(BUS_SAVED.map((index) => chip.readBus(index)));
    await machine.writePort(base + ADDRESS_PORT, address, 2);
    return { pci: config, isMapped: true, address, control, csr4, csr5, initBlock, values, bus };
  },

  async restore(machine, state, { pci }) {
    await restorePci(machine, pci!, state.pci);
    const base = decodedBase(state.pci, "port");
    if (base === null) return [];
    const chip = new Chip(machine, base);
    await machine.readPort(base + RESET_PORT, 2);
    for (const [at, index] of BUS_SAVED.entries()) {
      const value = state.bus[at]!;
      await chip.writeBus(index, LEDS.has(index) ? value & ~LED_OUTPUT : value);
    }
    for (const [at, index] of INIT_BLOCK.entries()) await chip.write(index, state.initBlock[at]!);
    if ((state.control & INIT) !== 0) await chip.write(0, INIT);
    await chip.write(5, (state.csr5 & ~CSR5_CAUSES) | SUSPEND);
    await chip.write(4, state.csr4 & ~CSR4_CAUSES);
    for (const [at, index] of SAVED.entries()) await chip.write(index, state.values[at]!);
    const wasEmpty = (state.control & CAUSES) === 0;
    await chip.write(0, (state.control & START) | (wasEmpty ? INIT_DONE : 0));
    return [];
  },

  finish: resume,
  undo: resume,
};

/** Lets the chip look at its rings again and ask for interrupts. */
async function resume(machine: PhysicalMachine, state: PcnetState): Promise<void> {
  const base = decodedBase(state.pci, "port");
  if (base === null) return;
  const chip = new Chip(machine, base);
  await chip.write(5, state.csr5 & ~CSR5_CAUSES);
  await chip.write(0, state.control & (INTERRUPTS_ON | TRANSMIT_DEMAND));
  await machine.writePort(base + ADDRESS_PORT, state.address, 2);
}

/** Registers behind an address port. */
class Chip {
  readonly #machine: PhysicalMachine;
  readonly #base: number;

  constructor(machine: PhysicalMachine, base: number) {
    this.#machine = machine;
    this.#base = base;
  }

  read(index: number): Promise<number> {
    return this.#read(index, DATA_PORT);
  }

  readBus(index: number): Promise<number> {
    return this.#read(index, BUS_DATA_PORT);
  }

  async write(index: number, value: number): Promise<void> {
    await this.#machine.writePort(this.#base + ADDRESS_PORT, index, 2);
    await this.#machine.writePort(this.#base + DATA_PORT, value, 2);
  }

  async writeBus(index: number, value: number): Promise<void> {
    await this.#machine.writePort(this.#base + ADDRESS_PORT, index, 2);
    await this.#machine.writePort(this.#base + BUS_DATA_PORT, value, 2);
  }

  #read(index: number, port: number): Promise<number> {
    const selected = this.#machine.writePort(this.#base + ADDRESS_PORT, index, 2);
    const value = this.#machine.readPort(this.#base + port, 2);
    return selected.then(() => value);
  }
}

function unmapped(pci: PcnetState["pci"]): PcnetState {
  const nothing = { address: 0, control: 0, csr4: 0, csr5: 0, initBlock: [], values: [], bus: [] };
  return { pci, isMapped: false, ...nothing };
}
