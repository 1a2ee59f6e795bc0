import { z } from "zod";
import type { DeviceKind } from "../device.ts";
import type { PhysicalMachine } from "../physical-machine.ts";
import type { Register } from "../registers.ts";
import { type NoShadow, noShadow } from "./no-shadow.ts";
import { capturePci, decodedBase, pciRegisters, pciStateSchema, restorePci } from "./pci-state.ts";

/** Intel's PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453), the 82540EM. */
const VENDOR = 0x8086;
const DEVICE = 0x100e;

const CTRL = 0x0000;
const MDIC = 0x0020;
const ICR = 0x00c0;
const ICS = 0x00c8;
const IMS = 0x00d0;
const IMC = 0x00d8;
const RCTL = 0x0100;
const TCTL = 0x0400;
const CTRL_RESET = 0x0400_0000;

const MDIC_READ = 0x0820_0000;
const MDIC_WRITE = 0x0420_0000;
const MDIC_READY = 0x1000_0000;
/** PHY registers that software may write: control, advertisement, 1000BASE-T control, PHY specific control, extended. */
const PHY_REGISTERS = [0, 4, 9, 16, 20] as const;
const PHY_RESTARTS = 0x8200;

/**
 * Registers that are read and written as they are; the two that enable come last. The rings' heads are among them,
 * which is the contrast to chips whose pointers have to be found.
 */
const SAVED: readonly number[] = [
  ...[0x0028, 0x002c, 0x0030, 0x0038, 0x0170, 0x0410, 0x00c4, 0x0e00, 0x1000],
  ...[0x2160, 0x2168, 0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x2820, 0x2828, 0x282c],
  ...[0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3820, 0x3828, 0x382c],
  ...[0x5000, 0x5800, 0x5820, 0x5828],
];
/** Receive addresses, multicast table, VLAN table. */
const TABLES = [
  { first: 0x5400, count: 32 },
  { first: 0x5200, count: 128 },
  { first: 0x5600, count: 128 },
] as const;

const registers: readonly Register[] = [
  ...pciRegisters,
  { name: "CTRL", at: "0000h", kind: "readable", how: "read and written, without its reset bits" },
  { name: "STATUS", at: "0008h", kind: "read-only", how: "the link's" },
  {
    name: "EECD, EERD",
    at: "0010h, 0014h",
    kind: "command",
    how: "a session of reading; the content is the hardware's",
  },
  {
    name: "MDIC and PHY registers 0, 4, 9, 16, 20",
    at: "0020h",
    kind: "readable",
    how: "read and written through MDIC",
  },
  {
    name: "PHY registers 1, 5, 10, 17",
    at: "0020h",
    kind: "read-only",
    how: "the link's; its negotiation is not begun anew, which would take it down",
  },
  {
    name: "ICR, ICS",
    at: "00C0h, 00C8h",
    kind: "readable",
    how: "causes read from ICS, which doesn't clear them; set by ICS",
  },
  {
    name: "IMS, IMC",
    at: "00D0h, 00D8h",
    kind: "readable",
    how: "read, cleared before anything else; set last",
  },
  { name: "RCTL, TCTL", at: "0100h, 0400h", kind: "readable", how: "read; written when the rings stand" },
  {
    name: "RDBAL, RDBAH, RDLEN, RDH, RDT",
    at: "2800h–2818h",
    kind: "readable",
    how: "read and written: no pointer is hidden",
  },
  {
    name: "TDBAL, TDBAH, TDLEN, TDH, TDT",
    at: "3800h–3818h",
    kind: "readable",
    how: "read and written: no pointer is hidden",
  },
  {
    name: "timers, thresholds, flow control, VLAN, wake-up",
    at: "0028h–5828h",
    kind: "readable",
    how: "read and written",
  },
  {
    name: "RAL, RAH, MTA, VFTA",
    at: "5400h, 5200h, 5600h",
    kind: "readable",
    how: "read and written; the address moves along",
  },
  {
    name: "checksum context",
    at: "none",
    kind: "internal",
    how: "not set: Linux sends a context with each frame that needs one",
  },
  {
    name: "interrupt throttling in progress",
    at: "none",
    kind: "internal",
    how: "not set: the next interrupt may come sooner",
  },
  {
    name: "statistics",
    at: "4000h–40FCh",
    kind: "statistic",
    how: "reading clears them, writing doesn't set them: they begin anew",
  },
];

const long = z.int().min(0).max(0xffff_ffff);
const word = z.int().min(0).max(0xffff);
const stateSchema = z.strictObject({
  pci: pciStateSchema,
  isMapped: z.boolean(),
  values: z.record(z.string(), long),
  phy: z.array(word).max(PHY_REGISTERS.length),
  /** The last access to the PHY, whose answer the guest may not have read yet. */
  mdic: long,
  control: long,
  receiveControl: long,
  transmitControl: long,
  interruptMask: long,
  causes: long,
});

/** An 82540EM. */
export type E1000State = z.output<typeof stateSchema>;

/** Intel's 82540EM: a NIC whose state can be read and written throughout. */
export const e1000: DeviceKind<NoShadow, E1000State> = {
  name: "e1000",
  title: "82540EM Ethernet",
  registers,
  ...noShadow,
  stateSchema,
  matches: ({ vendor, device }) => vendor === VENDOR && device === DEVICE,

  async capture(machine, _shadow, { pci }, disturbs = () => {}) {
    const config = await capturePci(machine, pci!);
    const base = decodedBase(config, "memory");
    if (base === null) return unmapped(config);
    const get = (offset: number) => machine.readRegister(base + offset);
    const [interruptMask, causes, mdic] = await Promise.all([get(IMS), get(ICS), get(MDIC)]);
    disturbs({ ...unmapped(config), isMapped: true, mdic, interruptMask, causes });
    await machine.writeRegister(base + IMC, 0xffff_ffff);
    const offsets = [...SAVED, ...TABLES.flatMap(tableOffsets)];
    const read = await Promise.all([...offsets, CTRL, RCTL, TCTL].map(get));
    const values = Object.fromEntries(offsets.map((offset, index) => [offset, read[index]!]));
    const [control, receiveControl, transmitControl] = read.slice(-3) as [number, number, number];
    const phy: number[] = [];
    for (const register of PHY_REGISTERS) phy.push(await readPhy(machine, base, register));
    await repeatPhy(machine, base, mdic);
    const enables = { control, receiveControl, transmitControl };
    return { pci: config, isMapped: true, values, phy, mdic, ...enables, interruptMask, causes };
  },

  async restore(machine, state, { pci }) {
    await restorePci(machine, pci!, state.pci);
    const base = decodedBase(state.pci, "memory");
    if (base === null) return [];
    const set = (offset: number, value: number) => machine.writeRegister(base + offset, value >>> 0);
    await set(CTRL, CTRL_RESET);
    await set(IMC, 0xffff_ffff);
    await set(CTRL, state.control & ~CTRL_RESET);
    for (const [index, register] of PHY_REGISTERS.entries()) {
      const value = register === 0 ? state.phy[index]! & ~PHY_RESTARTS : state.phy[index]!;
      await set(MDIC, MDIC_WRITE | (register << 16) | value);
    }
    for (const [offset, value] of Object.entries(state.values)) await set(Number(offset), value);
    // Enabled, it looks at the rings, whose heads and tails stand by now.
    await set(RCTL, state.receiveControl);
    await set(TCTL, state.transmitControl);
    await repeatPhy(machine, base, state.mdic);
    return [];
  },

  async finish(machine, state) {
    const base = decodedBase(state.pci, "memory");
    if (base === null) return;
    // Reading clears what the rebuild itself has caused.
    await machine.readRegister(base + ICR);
    await machine.writeRegister(base + ICS, state.causes);
    await machine.writeRegister(base + IMS, state.interruptMask);
  },

  async undo(machine, state) {
    const base = decodedBase(state.pci, "memory");
    if (base === null) return;
    await repeatPhy(machine, base, state.mdic);
    await machine.writeRegister(base + IMS, state.interruptMask);
  },
};

function tableOffsets({ first, count }: (typeof TABLES)[number]): number[] {
  return Array.from({ length: count }, (_, index) => first + 4 * index);
}

async function readPhy(machine: PhysicalMachine, base: number, register: number): Promise<number> {
  await machine.writeRegister(base + MDIC, (MDIC_READ | (register << 16)) >>> 0);
  const answer = await machine.readRegister(base + MDIC);
  return (answer & MDIC_READY) === 0 ? 0 : answer & 0xffff;
}

/** Has the register hold what the guest's last access left there: a read gives the same again, a write writes the same. */
async function repeatPhy(machine: PhysicalMachine, base: number, mdic: number): Promise<void> {
  if ((mdic & MDIC_READY) !== 0) await machine.writeRegister(base + MDIC, (mdic & ~MDIC_READY) >>> 0);
}

function unmapped(pci: E1000State["pci"]): E1000State {
  const nothing = { control: 0, receiveControl: 0, transmitControl: 0, interruptMask: 0, causes: 0 };
  return { pci, isMapped: false, values: {}, phy: [], mdic: 0, ...nothing };
}
