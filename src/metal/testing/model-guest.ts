import { ModelMachine } from "../model/model-machine.ts";

/** Where the guest of tests has its NIC's registers and rings. */
export const NIC_BASE = 0xfeb0_0000;
export const TRANSMIT_RING = 0x1_0000;
export const RECEIVE_RING = 0x1_1000;
export const RING_LENGTH = 16;
const BUFFER = 0x2_0000;
const OWN = 0x8000_0000;
const END_OF_RING = 0x4000_0000;
export const NIC_KEY = "rtl8139@3.0";

/** A machine on which firmware and a driver have run: controllers, a one-shot timer and a NIC with rings in use. */
export function bootedMachine(): ModelMachine {
  const machine = new ModelMachine();
  const port = (address: number, ...values: number[]) => {
    for (const value of values) machine.guest("port", address, value);
  };
  port(0x4d1, 0x08);
  port(0x20, 0x11);
  port(0x21, 0x30, 0x04, 0x01);
  port(0xa0, 0x11);
  port(0xa1, 0x38, 0x02, 0x01);
  port(0x21, 0xfa);
  port(0xa1, 0xf7);
  port(0x43, 0x38);
  port(0x40, 0x34, 0x12);
  machine.guest("port", 0xcf8, 0x8000_1814, 4);
  machine.guest("port", 0xcfc, 0xffff_ffff, 4);
  machine.guest("port", 0xcfc, NIC_BASE, 4);
  machine.guest("port", 0xcf8, 0x8000_1804, 4);
  machine.guest("port", 0xcfc, 0x06, 2);
  startNic(machine);
  return machine;
}

function startNic(machine: ModelMachine): void {
  const nic = (offset: number, value: number, bytes: 1 | 2 | 4) => {
    machine.guest("memory", NIC_BASE + offset, value, bytes);
  };
  for (let index = 0; index < RING_LENGTH; index++) {
    const end = index === RING_LENGTH - 1 ? END_OF_RING : 0;
    machine.memory.writeUInt32LE(end, TRANSMIT_RING + 16 * index);
    machine.memory.writeUInt32LE((OWN | end | 0x600) >>> 0, RECEIVE_RING + 16 * index);
    machine.memory.writeUInt32LE(BUFFER + 0x800 * index, RECEIVE_RING + 16 * index + 8);
  }
  nic(0x5b, 0x52, 1);
  nic(0xe0, 0x0023, 2);
  nic(0x20, TRANSMIT_RING, 4);
  nic(0xe4, RECEIVE_RING, 4);
  nic(0x37, 0x0c, 1);
  nic(0x44, 0x0e, 4);
  nic(0x40, 0x0300_0700, 4);
  nic(0x3c, 0x0015, 2);
}

/** The guest sends a frame: the driver gives a descriptor to the hardware and has it look. */
export function guestSends(machine: ModelMachine, index: number): void {
  const at = TRANSMIT_RING + 16 * index;
  const end = index === RING_LENGTH - 1 ? END_OF_RING : 0;
  machine.memory.writeUInt32LE((OWN | end | 0x3000_0000 | 60) >>> 0, at);
  machine.memory.writeUInt32LE(BUFFER, at + 8);
  machine.guest("memory", NIC_BASE + 0xd9, 0x40);
}

/** The driver has read a frame: the descriptor is the hardware's again. */
export function guestReturns(machine: ModelMachine, index: number): void {
  const end = index === RING_LENGTH - 1 ? END_OF_RING : 0;
  machine.memory.writeUInt32LE((OWN | end | 0x600) >>> 0, RECEIVE_RING + 16 * index);
}
