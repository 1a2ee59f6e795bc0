import { z } from "zod";
import { GodwitError } from "../../base/errors.ts";
import type { DeviceKind } from "../device.ts";
import type { PciFunction } from "../pci.ts";
import type { AccessBytes, PhysicalMachine } from "../physical-machine.ts";
import { DescriptorRing } from "./descriptor-ring.ts";
import { freshPciShadow, observePci, pciShadowSchema, registerOffset } from "./pci-shadow.ts";
import { capturePci, decodedBase, type PciState, pciStateSchema, restorePci } from "./pci-state.ts";
import { type LoopbackNic, RingProbe, type RingSearch, ringSearchSchema } from "./ring-pointers.ts";
import { REGISTER, rtl8139Registers } from "./rtl8139-registers.ts";

/** Realtek 10ec:8139 from revision 20h on is a C+, the only one that has rings of descriptors. */
const VENDOR = 0x10ec;
const DEVICE = 0x8139;

const REGION_BYTES = 256;
/** The C+ data sheet's bound for both rings. */
const MOST_DESCRIPTORS = 64;

const CHIP_RESET = 0x10;
const RECEIVE_ON = 0x08;
const TRANSMIT_ON = 0x04;
const PLUS_RECEIVE_ON = 0x02;
const PLUS_TRANSMIT_ON = 0x01;
const MAC_LOOPBACK = 0x6_0000;
const ACCEPT_MASK = 0x3f;
const ACCEPT_STATION = 0x02;
const POLL_NORMAL = 0x40;
const UNLOCK_CONFIG = 0xc0;
const EEPROM_MODE = 0x80;
const EEPROM_MODES = 0xc0;
const EEPROM_SELECT = 0x08;
const EEPROM_OUTPUT = 0x01;
const DUMP_COMMAND = 0x08;
const RECEIVED_OK = 0x0001;
const TRANSMITTED_OK = 0x0004;

/** Reading a 93C46 word takes 2 writes for each of 9 + 16 bits; more is not one session. */
const MOST_EEPROM_WRITES = 256;

const byte = z.int().min(0).max(255);
const word = z.int().min(0).max(0xffff);
const long = z.int().min(0).max(0xffff_ffff);
const pointer = z
  .int()
  .min(0)
  .max(MOST_DESCRIPTORS - 1);

const shadowSchema = z.strictObject({
  pci: pciShadowSchema,
  haltClock: z.int().min(-1).max(255),
  interruptMitigation: word,
  /** What was written to 9346CR since the EEPROM was selected. */
  eepromSession: z.array(byte).max(MOST_EEPROM_WRITES),
});

const stateSchema = z.strictObject({
  pci: pciStateSchema,
  /** false: the guest has not given it an address; nothing else counts then. */
  isMapped: z.boolean(),
  shadow: shadowSchema,
  /** Registers by their offset; see {@link SAVED}. */
  values: z.record(z.string(), long),
  interruptMask: word,
  interruptStatus: word,
  /** null: its rings are not in use. */
  pointers: z.strictObject({ transmit: pointer, receive: pointer }).nullable(),
  /** Only of a capture that was broken off. */
  search: ringSearchSchema.optional(),
});

type Shadow = z.output<typeof shadowSchema>;
/** An RTL8139C+. */
export type Rtl8139State = z.output<typeof stateSchema>;

/** Registers that are read and written as they are, with their sizes. Order counts when they are written. */
const SAVED: readonly (readonly [offset: number, bytes: AccessBytes])[] = [
  [REGISTER.config0, 1],
  [REGISTER.config1, 1],
  [REGISTER.config3, 1],
  [REGISTER.config4, 1],
  [REGISTER.config5, 1],
  [REGISTER.station, 4],
  [REGISTER.station + 4, 4],
  [REGISTER.multicast, 4],
  [REGISTER.multicast + 4, 4],
  [REGISTER.basicMode, 2],
  [REGISTER.advertisement, 2],
  [REGISTER.multipleInterrupt, 2],
  [REGISTER.timerInterrupt, 4],
  [REGISTER.plusCommand, 2],
  [REGISTER.tallyDumpHigh, 4],
  [REGISTER.tallyDump, 4],
  [REGISTER.transmitRing, 4],
  [REGISTER.transmitRingHigh, 4],
  [REGISTER.highPriorityRing, 4],
  [REGISTER.highPriorityRingHigh, 4],
  [REGISTER.receiveRing, 4],
  [REGISTER.receiveRingHigh, 4],
  [REGISTER.earlyTransmitThreshold, 1],
  [REGISTER.chipCommand, 1],
  [REGISTER.receiveConfig, 4],
  [REGISTER.transmitConfig, 4],
];

/** Realtek's RTL8139C+ with descriptor rings, as Linux's 8139cp drives it. */
export const rtl8139: DeviceKind<Shadow, Rtl8139State> = {
  name: "rtl8139",
  title: "RTL8139C+ Ethernet (the RTL8169's register layout)",
  registers: rtl8139Registers,
  shadowSchema,
  stateSchema,
  matches: ({ vendor, device }) => vendor === VENDOR && device === DEVICE,
  freshShadow: () => ({ pci: freshPciShadow(), haltClock: -1, interruptMitigation: 0, eepromSession: [] }),

  observe(shadow, write, { pci }) {
    observePci(shadow.pci, write, pci!);
    const offset = registerOffset(shadow.pci, write, REGION_BYTES);
    if (offset === REGISTER.haltClock) shadow.haltClock = write.value & 0xff;
    else if (offset === 0xe2) shadow.interruptMitigation = write.value & 0xffff;
    else if (offset === REGISTER.eepromCommand) observeEeprom(shadow, write.value & 0xff);
    else if (offset === REGISTER.chipCommand && (write.value & CHIP_RESET) !== 0) {
      Object.assign(shadow, { ...rtl8139.freshShadow(), pci: shadow.pci });
    }
  },

  async capture(machine, shadow, { pci }, disturbs = () => {}) {
    const config = await capturePci(machine, pci!);
    const chip = chipOf(machine, config);
    if (chip === null) return unmapped(config, shadow);
    const interruptMask = await chip.read(REGISTER.interruptMask, 2);
    const interruptStatus = await chip.read(REGISTER.interruptStatus, 2);
    const values: Record<string, number> = {};
    const read = SAVED.map(async ([offset, bytes]) => {
      values[offset] = await chip.read(offset, bytes);
    });
    await Promise.all(read);
    values[REGISTER.eepromCommand] = (await chip.read(REGISTER.eepromCommand, 1)) & ~EEPROM_OUTPUT;
    refuseOtherModes(values, pci!);
    const state: Rtl8139State = {
      ...{ pci: config, isMapped: true, shadow: structuredClone(shadow), values },
      ...{ interruptMask, interruptStatus, pointers: null },
    };
    disturbs(state);
    await chip.write(REGISTER.interruptMask, 0, 2);
    if (!usesRings(values)) return state;
    return { ...state, pointers: await findPointers(machine, chip, state, disturbs) };
  },

  async restore(machine, state, { pci }) {
    await restorePci(machine, pci!, state.pci);
    const chip = chipOf(machine, state.pci);
    if (chip === null) return [];
    await chip.write(REGISTER.chipCommand, CHIP_RESET, 1);
    await chip.write(REGISTER.eepromCommand, UNLOCK_CONFIG, 1);
    for (const [offset, bytes] of SAVED) {
      const value = state.values[offset]!;
      // Any write to it turns descriptor mode on, which a chip that nobody has set up is not in.
      if (offset === REGISTER.plusCommand && value === 0) continue;
      await chip.write(offset, settable(offset, value), bytes);
    }
    if (state.shadow.haltClock !== -1) await chip.write(REGISTER.haltClock, state.shadow.haltClock, 1);
    await chip.write(0xe2, state.shadow.interruptMitigation, 2);
    if (state.pointers !== null) {
      const target = state.pointers;
      // Writing the enable bits has taken both pointers to 0.
      const rings = await readRings(machine, state.values);
      const search = await RingProbe.plan(machine, rings);
      await inLoopback(machine, chip, { values: state.values, rings, search }, (probe) =>
        probe.move({ transmit: 0, receive: 0 }, target),
      );
    }
    const wasEmpty = state.interruptStatus === 0;
    const reported = await chip.read(REGISTER.interruptStatus, 2);
    const kept = wasEmpty ? 0 : RECEIVED_OK | TRANSMITTED_OK;
    await chip.write(REGISTER.interruptStatus, reported & ~kept, 2);
    const session = state.shadow.eepromSession;
    const last = state.values[REGISTER.eepromCommand]!;
    for (const value of session.length > 0 ? session : [last])
      await chip.write(REGISTER.eepromCommand, value, 1);
    return [];
  },

  async finish(machine, state) {
    await chipOf(machine, state.pci)?.write(REGISTER.interruptMask, state.interruptMask, 2);
  },

  async undo(machine, state) {
    const chip = chipOf(machine, state.pci);
    if (chip === null) return;
    if (state.search !== undefined) await findPointers(machine, chip, state, () => {});
    await chip.write(REGISTER.interruptMask, state.interruptMask, 2);
  },
};

interface Chip {
  read(offset: number, bytes: AccessBytes): Promise<number>;
  write(offset: number, value: number, bytes: AccessBytes): Promise<void>;
}

/** The chip's registers, through memory where the guest has that decoded, otherwise through ports. */
function chipOf(machine: PhysicalMachine, config: PciState): Chip | null {
  const memory = decodedBase(config, "memory");
  if (memory !== null) {
    return {
      read: (offset, bytes) => machine.readRegister(memory + offset, bytes),
      write: (offset, value, bytes) => machine.writeRegister(memory + offset, value, bytes),
    };
  }
  const port = decodedBase(config, "port");
  if (port === null) return null;
  return {
    read: (offset, bytes) => machine.readPort(port + offset, bytes),
    write: (offset, value, bytes) => machine.writePort(port + offset, value, bytes),
  };
}

function unmapped(pci: PciState, shadow: Shadow): Rtl8139State {
  const nothing = { interruptMask: 0, interruptStatus: 0, pointers: null };
  return { pci, isMapped: false, shadow: structuredClone(shadow), values: {}, ...nothing };
}

function settable(offset: number, value: number): number {
  return offset === REGISTER.tallyDump ? value & ~DUMP_COMMAND : value;
}

function usesRings(values: Readonly<Record<string, number>>): boolean {
  const command = values[REGISTER.chipCommand]!;
  const plus = values[REGISTER.plusCommand]!;
  const both = RECEIVE_ON | TRANSMIT_ON;
  const bothPlus = PLUS_RECEIVE_ON | PLUS_TRANSMIT_ON;
  return (command & both) === both && (plus & bothPlus) === bothPlus;
}

/** Only what its driver makes of it can be moved: both rings, or nothing at all. */
function refuseOtherModes(values: Readonly<Record<string, number>>, pci: PciFunction): void {
  const isOn = (values[REGISTER.chipCommand]! & (RECEIVE_ON | TRANSMIT_ON)) !== 0;
  if (!isOn || usesRings(values)) return;
  throw new GodwitError(
    "GODWIT_METAL_DEVICE_MODE",
    `the RTL8139 in slot ${pci.slot} runs without descriptor rings`,
    {
      advice: "drive it with 8139cp instead of 8139too",
    },
  );
}

/** Where a chip's rings are, and what the guest has there. */
async function readRings(machine: PhysicalMachine, values: Readonly<Record<string, number>>) {
  const { transmit, receive } = ringAddresses(values);
  return {
    transmitRing: await DescriptorRing.read(machine, transmit, MOST_DESCRIPTORS),
    receiveRing: await DescriptorRing.read(machine, receive, MOST_DESCRIPTORS),
  };
}

function ringAddresses(values: Readonly<Record<string, number>>) {
  const at = (low: number, high: number) => values[low]! + values[high]! * 2 ** 32;
  return {
    transmit: at(REGISTER.transmitRing, REGISTER.transmitRingHigh),
    receive: at(REGISTER.receiveRing, REGISTER.receiveRingHigh),
  };
}

/** Finds the pointers, and leaves everything but the interrupt mask as it was; takes up a search that was broken off. */
async function findPointers(
  machine: PhysicalMachine,
  chip: Chip,
  state: Rtl8139State,
  disturbs: (state: Rtl8139State) => void,
): Promise<NonNullable<Rtl8139State["pointers"]>> {
  const { values, interruptStatus } = state;
  const rings =
    state.search === undefined ? await readRings(machine, values) : ringsOf(machine, values, state.search);
  const search = state.search ?? (await RingProbe.plan(machine, rings));
  disturbs({ ...state, search });
  const pointers = await inLoopback(machine, chip, { values, rings, search }, (probe) =>
    probe.find(search, (found) => disturbs({ ...state, search: { ...search, ...found } })),
  );
  // What the dummies have reported goes; what was reported before stays.
  const reported = await chip.read(REGISTER.interruptStatus, 2);
  await chip.write(REGISTER.interruptStatus, reported & ~interruptStatus, 2);
  return pointers;
}

function ringsOf(
  machine: PhysicalMachine,
  values: Readonly<Record<string, number>>,
  { rings }: RingSearch,
): Pick<LoopbackNic, "transmitRing" | "receiveRing"> {
  const { transmit, receive } = ringAddresses(values);
  return {
    transmitRing: DescriptorRing.of(machine, transmit, Buffer.from(rings.transmit, "base64")),
    receiveRing: DescriptorRing.of(machine, receive, Buffer.from(rings.receive, "base64")),
  };
}

/** Works with the internal pointers of a chip whose rings are in use; leaves its registers and memory as they were. */
async function inLoopback<Result>(
  machine: PhysicalMachine,
  chip: Chip,
  before: {
    values: Readonly<Record<string, number>>;
    rings: Pick<LoopbackNic, "transmitRing" | "receiveRing">;
    search: RingSearch;
  },
  work: (probe: RingProbe) => Promise<Result>,
): Promise<Result> {
  const { values, rings, search } = before;
  const config = values[REGISTER.receiveConfig]!;
  const nic: LoopbackNic = {
    ...rings,
    accept: (on) =>
      chip.write(REGISTER.receiveConfig, ((config & ~ACCEPT_MASK) | (on ? ACCEPT_STATION : 0)) >>> 0, 4),
    poll: () => chip.write(REGISTER.transmitPoll, POLL_NORMAL, 1),
  };
  await chip.write(REGISTER.transmitConfig, (values[REGISTER.transmitConfig]! | MAC_LOOPBACK) >>> 0, 4);
  const station = Buffer.alloc(8);
  station.writeUInt32LE(values[REGISTER.station]!, 0);
  station.writeUInt32LE(values[REGISTER.station + 4]!, 4);
  const probe = await RingProbe.begin(machine, nic, station.subarray(0, 6), search);
  try {
    return await work(probe);
  } finally {
    await probe.end();
    await chip.write(REGISTER.receiveConfig, config, 4);
    await chip.write(REGISTER.transmitConfig, values[REGISTER.transmitConfig]!, 4);
  }
}

function observeEeprom(shadow: Shadow, value: number): void {
  const isSession = (value & EEPROM_MODES) === EEPROM_MODE && (value & EEPROM_SELECT) !== 0;
  if (!isSession) shadow.eepromSession = [];
  else if (shadow.eepromSession.length < MOST_EEPROM_WRITES) shadow.eepromSession.push(value);
}
