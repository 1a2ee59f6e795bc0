import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeviceKind } from "../device.ts";
import type { GuestWrite } from "../physical-machine.ts";
import { RegisterBank } from "../testing/register-bank.ts";
import { e1000 } from "./e1000.ts";
import { i8254 } from "./i8254.ts";
import { allDevices } from "./index.ts";
import { ioapic } from "./ioapic.ts";
import { mc146818 } from "./mc146818.ts";
import { pcnet } from "./pcnet.ts";
import { rtl8139 } from "./rtl8139.ts";
import { type Uart16550State, uart16550 } from "./uart16550.ts";

const HERE = { pci: null };
const SLOT = { pci: { slot: 4, fn: 0, vendor: 0, device: 0, classCode: 0x0200 } };
const port = (address: number, value: number, bytes = 1): GuestWrite => ({
  space: "port",
  address,
  value,
  bytes,
});

/** A state as it crosses. */
function crossed<State>(kind: Pick<DeviceKind<never, State>, "stateSchema">, state: State): State {
  return kind.stateSchema.parse(JSON.parse(JSON.stringify(state)));
}

/** A PCI function whose I/O region is at 0xc000 and whose memory region is at 0xfe000000. */
function pciMachine(): RegisterBank {
  const machine = new RegisterBank();
  const config = machine.placeBank("port", 0xcf8, 0xcfc);
  machine.place("port", 0xcfd, { read: () => 0, write: () => {} });
  const address = (offset: number) => (0x8000_0000 | (4 << 11) | offset) >>> 0;
  config.set(address(0x04), 0x07);
  config.set(address(0x10), 0xc001);
  config.set(address(0x14), 0xfe00_0000);
  return machine;
}

test("every register of every device says its kind and what is done about it", () => {
  for (const { name, registers } of allDevices) {
    assert.ok(registers.length > 3, name);
    for (const { how, at } of registers) assert.ok(how.length > 3 && at.length > 0, `${name} ${at}`);
  }
});

test("the I/O APIC's entries come back, masked until the end, without the chip's own bits", async () => {
  const machine = new RegisterBank();
  const bank = machine.placeBank("memory", 0xfec0_0000, 0xfec0_0010);
  bank.set(1, 0x0017_0020);
  bank.set(0x10, 0x0000_5931);
  bank.set(0x11, 0x0300_0000);
  bank.set(0x12, 0x0001_0032);
  await machine.writeRegister(0xfec0_0000, 0x2f);
  const state = crossed(ioapic, await ioapic.capture(machine, {}, HERE));
  assert.equal(await machine.readRegister(0xfec0_0000), 0x2f, "the guest's selection is back");
  assert.equal(state.entries.length, 24);
  bank.clear();
  await ioapic.restore(machine, state, HERE);
  assert.equal(bank.get(0x10), 0x0001_0931);
  await ioapic.finish!(machine, state, HERE);
  assert.deepEqual([bank.get(0x10), bank.get(0x11), bank.get(0x12)], [0x931, 0x0300_0000, 0x0001_0032]);
  assert.equal(await machine.readRegister(0xfec0_0000), 0x2f);
});

/** A serial port with a receive FIFO, loopback and a divisor latch. */
function serialMachine(received: number[]): RegisterBank {
  const machine = new RegisterBank();
  let loop = false;
  let latch = false;
  let divisor = 0x0c;
  machine.place("port", 0x3fc, {
    read: () => (loop ? 0x1b : 0x0b),
    write: (value) => {
      loop = (value & 0x10) !== 0;
    },
  });
  let line = 0x03;
  machine.place("port", 0x3fb, {
    read: () => line,
    write: (value) => {
      line = value;
      latch = (value & 0x80) !== 0;
    },
  });
  machine.place("port", 0x3f8, {
    read: () => (latch ? divisor : (received.shift() ?? 0)),
    write: (value) => {
      if (latch) divisor = value;
      else if (loop) received.push(value);
    },
  });
  let enabled = 0;
  let divisorHigh = 0;
  machine.place("port", 0x3f9, {
    read: () => (latch ? divisorHigh : enabled),
    write: (value) => {
      if (latch) divisorHigh = value;
      else enabled = value;
    },
  });
  let control = 0xc1;
  machine.place("port", 0x3fa, {
    read: () => ((control & 1) !== 0 ? 0xc1 : 0x01),
    write: (value) => {
      control = value;
    },
  });
  machine.place("port", 0x3fd, { read: () => (received.length > 0 ? 0x61 : 0x60), write: () => {} });
  return machine;
}

test("bytes that the guest has not read yet stay in the serial port, and come along", async () => {
  const received = [0x41, 0x42, 0x43];
  const machine = serialMachine(received);
  await machine.writePort(0x3f9, 5);
  const shadow = uart16550.freshShadow();
  uart16550.observe(shadow, port(0x3fa, 0xc7), HERE);
  const kept: Uart16550State[] = [];
  const state = crossed(uart16550, await uart16550.capture(machine, shadow, HERE, (own) => kept.push(own)));
  assert.deepEqual(received, [0x41, 0x42, 0x43]);
  assert.deepEqual(state.received, [0x41, 0x42, 0x43]);
  assert.deepEqual([state.divisor, state.fcr, state.ier], [0x0c, 0xc1, 5]);
  assert.equal(await machine.readPort(0x3f9), 0, "it is silent");
  await uart16550.undo(machine, kept[0]!, HERE);
  assert.equal(await machine.readPort(0x3f9), 5, "what was kept first is enough");
  const arrived: number[] = [];
  const other = serialMachine(arrived);
  await uart16550.restore(other, state, HERE);
  assert.equal(await other.readPort(0x3f9), 0, "it asks for no interrupt yet");
  await uart16550.finish!(other, state, HERE);
  assert.deepEqual(arrived, [0x41, 0x42, 0x43]);
  assert.equal(await other.readPort(0x3f9), 5);
});

test("the clock's time and memory come along, its pending tick is left alone", async () => {
  const machine = new RegisterBank();
  const cells = machine.placeBank("port", 0x70, 0x71);
  for (let cell = 0; cell < 128; cell++) cells.set(cell, cell);
  cells.set(0x0b, 0x42);
  const shadow = mc146818.freshShadow();
  mc146818.observe(shadow, port(0x70, 0x8f), HERE);
  const state = crossed(mc146818, await mc146818.capture(machine, shadow, HERE));
  assert.equal(await machine.readPort(0x70), 0x8f);
  cells.clear();
  cells.set(0x0c, 0x99);
  await mc146818.restore(machine, state, HERE);
  assert.equal(cells.get(0x0b)! & 0x70, 0, "it asks for no interrupt yet");
  await mc146818.finish!(machine, state, HERE);
  assert.deepEqual([cells.get(0), cells.get(9), cells.get(0x0b), cells.get(0x32)], [0, 9, 0x42, 0x32]);
  assert.equal(cells.get(0x0c), 0x99, "register C is never touched");
  assert.equal(await machine.readPort(0x70), 0x8f);
});

test("a PCnet is suspended while its rings are read, and started again where it was", async () => {
  const machine = pciMachine();
  let address = 0;
  const csr = new Map<number, number>([
    [0, 0x007b],
    [1, 0x1234],
    [5, 0],
    [72, 11],
    [74, 7],
  ]);
  const bcr = new Map<number, number>([[4, 0x80c0]]);
  machine.place("port", 0xc016, {
    read: () => bcr.get(address) ?? 0,
    write: (value) => bcr.set(address, value),
  });
  const written: string[] = [];
  machine.place("port", 0xc012, {
    read: () => address,
    write: (value) => {
      address = value;
    },
  });
  machine.place("port", 0xc010, {
    read: () => csr.get(address) ?? 0,
    write: (value) => {
      written.push(`${address}=${value}`);
      if (address !== 0) csr.set(address, value);
    },
  });
  const state = crossed(
    pcnet,
    await pcnet.capture(machine, {}, SLOT, ({ control }) => written.push(`kept ${control}`)),
  );
  assert.deepEqual(written, ["kept 123", "5=1", "0=0"], "suspended, then silent");
  assert.equal(address, 0, "the guest's register address is back");
  await pcnet.undo(machine, state, SLOT);
  assert.deepEqual(written.slice(3), ["5=0", "0=72"], "at work again, and asking");
  written.length = 0;
  csr.clear();
  await pcnet.restore(machine, state, SLOT);
  assert.deepEqual([csr.get(1), csr.get(72), csr.get(74)], [0x1234, 11, 7]);
  assert.equal(bcr.get(4), 0x00c0, "whether a LED shines can't be set");
  await pcnet.finish!(machine, state, SLOT);
  assert.equal(written.at(-1), "0=72", "a transmit demand that was pending is made again");
  assert.ok(written.indexOf("0=1") < written.indexOf("72=11"), "the initialisation would reset the pointers");
  assert.ok(written.indexOf("5=1") < written.indexOf("72=11"), "pointers are only taken while suspended");
});

test("a PCnet that is driven with 32-bit accesses is refused", async () => {
  const machine = pciMachine();
  machine.place("port", 0xc012, { read: () => 0xffff, write: () => {} });
  await assert.rejects(pcnet.capture(machine, {}, SLOT), { code: "GODWIT_METAL_DEVICE_MODE" });
});

test("an 82540EM keeps its heads and tails, and its interrupt mask is the last thing set", async () => {
  const machine = pciMachine();
  const base = 0xfe00_0000;
  // Its first region is the one in memory.
  await machine.writePort(0xcf8, 0x8000_2010);
  await machine.writePort(0xcfc, base);
  const causes: string[] = [];
  for (const [name, offset] of [
    ["IMS", 0xd0],
    ["IMC", 0xd8],
    ["TCTL", 0x400],
  ] as const) {
    let kept = name === "IMS" ? 0x9d : 0x0103_f0fa;
    machine.place("memory", base + offset, {
      read: () => kept,
      write: (value) => {
        causes.push(name);
        kept = value;
      },
    });
  }
  await machine.writeRegister(base + 0x2810, 17);
  await machine.writeRegister(base + 0x3818, 23);
  const state = crossed(
    e1000,
    await e1000.capture(machine, {}, SLOT, ({ interruptMask }) => causes.push(`kept ${interruptMask}`)),
  );
  assert.deepEqual(causes, ["kept 157", "IMC"]);
  assert.deepEqual([state.values[0x2810], state.values[0x3818], state.interruptMask], [17, 23, 0x9d]);
  await machine.writeRegister(base + 0x2810, 0);
  await e1000.restore(machine, state, SLOT);
  await e1000.finish!(machine, state, SLOT);
  assert.equal(await machine.readRegister(base + 0x2810), 17);
  assert.equal(causes.at(-1), "IMS");
});

test("the monitor knows a half-written count, and a reload value that the timer no longer shows", () => {
  const shadow = i8254.freshShadow();
  for (const [address, value] of [
    [0x43, 0x34],
    [0x40, 0x9c],
    [0x40, 0x2e],
    [0x43, 0x00],
    [0x40, 0x11],
  ] as const) {
    i8254.observe(shadow, port(address, value), HERE);
  }
  assert.deepEqual(shadow.counters[0], { control: 0x34, reload: 0x2e9c, firstByte: 0x11 });
});

test("the monitor keeps an EEPROM session until it ends, wherever the guest has put the chip", () => {
  const shadow = rtl8139.freshShadow();
  const at = { pci: { ...SLOT.pci, slot: 3 } };
  const see = (write: GuestWrite) => rtl8139.observe(shadow, write, at);
  see(port(0xcf8, 0x8000_1810, 4));
  see(port(0xcfc, 0xc101, 4));
  for (const value of [0x80, 0x88, 0x8a, 0x8e, 0x8a]) see(port(0xc150, value));
  assert.deepEqual(shadow.eepromSession, [0x88, 0x8a, 0x8e, 0x8a]);
  see(port(0xc250, 0x88));
  assert.equal(shadow.eepromSession.length, 4, "another device's register");
  see(port(0xc150, 0x00));
  assert.deepEqual(shadow.eepromSession, []);
});
