import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { captureDevices, undoCapture } from "./capture.ts";
import type { Rtl8139State } from "./devices/rtl8139.ts";
import { type DevicesState, decodeDevicesState, encodeDevicesState } from "./devices-state.ts";
import { takeInventory } from "./inventory.ts";
import { ModelMachine } from "./model/model-machine.ts";
import { Monitor } from "./monitor.ts";
import type { PhysicalMachine } from "./physical-machine.ts";
import { type Ablation, rebuildDevices } from "./rebuild.ts";
import {
  bootedMachine,
  guestReturns,
  guestSends,
  NIC_BASE,
  NIC_KEY,
  RING_LENGTH,
} from "./testing/model-guest.ts";

const FRAME = Buffer.alloc(60, 7);

/** Captures a machine as a move does; the machine stays as it is captured. */
async function captured(machine: ModelMachine) {
  await machine.stop();
  const devices = await takeInventory(machine);
  const monitor = new Monitor(devices);
  const state = await captureDevices(machine, devices, monitor);
  return { devices, monitor, state };
}

/** Rebuilds a captured machine in a new one that has the same memory. */
async function rebuilt(
  machine: ModelMachine,
  state: unknown,
  leaveOut: Ablation[] = [],
): Promise<ModelMachine> {
  const other = new ModelMachine(Buffer.from("525400000002", "hex"));
  machine.memory.copy(other.memory);
  await other.stop();
  const devices = await takeInventory(other);
  const crossed = decodeDevicesState(encodeDevicesState(state as never));
  await rebuildDevices(other, devices, crossed, new Set(leaveOut));
  return other;
}

function traffic(machine: ModelMachine, sent: number, received: number): void {
  for (let index = 0; index < sent; index++) guestSends(machine, index % RING_LENGTH);
  for (let index = 0; index < received; index++) {
    assert.ok(machine.nic.arrives(FRAME));
    guestReturns(machine, index % RING_LENGTH);
  }
}

test("whatever the traffic before, both ring pointers are found, nothing leaves and nothing is changed", async () => {
  const counts = fc.integer({ min: 0, max: 3 * RING_LENGTH });
  await fc.assert(
    fc.asyncProperty(counts, counts, async (sent, received) => {
      const machine = bootedMachine();
      traffic(machine, sent, received);
      const memory = Buffer.from(machine.memory);
      const frames = machine.nic.sent.length;
      const { devices, state } = await captured(machine);
      const { pointers } = state.devices[NIC_KEY] as Rtl8139State;
      assert.deepEqual(pointers, { transmit: sent % RING_LENGTH, receive: received % RING_LENGTH });
      await undoCapture(machine, devices, state);
      assert.ok(memory.equals(machine.memory), "memory is as before");
      assert.equal(machine.nic.sent.length, frames, "no dummy left the machine");
      assert.deepEqual(
        [machine.nic.transmit, machine.nic.receive],
        [sent % RING_LENGTH, received % RING_LENGTH],
      );
      assert.equal(await machine.readRegister(NIC_BASE + 0x3c, 2), 0x15, "its interrupt mask is back");
    }),
    { numRuns: 60 },
  );
});

/** A machine whose reader dies after so many accesses: it makes no more, and hears of none. */
function dyingAfter(machine: ModelMachine, accesses: number, died: () => void): PhysicalMachine {
  let left = accesses;
  return new Proxy<PhysicalMachine>(machine, {
    get(target, name: keyof PhysicalMachine) {
      return async (...parameters: never[]) => {
        if (left > 0) left -= 1;
        else {
          died();
          await new Promise(() => {});
        }
        return (target[name] as (...given: never[]) => unknown).apply(target, parameters);
      };
    },
  });
}

test("wherever a reader of the devices dies, the next one makes the machine as it was", async () => {
  const look = async (machine: ModelMachine) => {
    const { nic, master, slave } = machine;
    const memory = createHash("sha256").update(machine.memory).digest("hex");
    const registers = [0x3c, 0x3e, 0x40, 0x44].map((offset) => machine.readRegister(NIC_BASE + offset));
    const asked = await Promise.all([machine.readPort(0x20), machine.readPort(0xa0)]);
    return {
      ...{ pointers: [nic.transmit, nic.receive], registers: await Promise.all(registers), asked },
      ...{ sent: nic.sent.length, masks: [master.mask, slave.mask], memory },
    };
  };
  const found = await takeInventory(bootedMachine());
  // The others are not in the model.
  const devices = found.filter(({ key }) => ["i8254", "i8259", NIC_KEY].includes(key));
  for (const [sent, received] of [
    [5, 11],
    [RING_LENGTH - 1, 2 * RING_LENGTH - 1],
  ] as const) {
    for (let accesses = 0, died = true; died; accesses++) {
      const machine = bootedMachine();
      traffic(machine, sent, received);
      machine.timer.tick(0x1234);
      assert.equal(machine.master.acknowledge(), 0);
      await machine.stop();
      const monitor = new Monitor(devices);
      for (const write of await machine.guestWrites()) monitor.observe(write);
      const before = await look(machine);
      let kept: DevicesState | null = null;
      died = await new Promise((resolve, reject) => {
        const dying = dyingAfter(machine, accesses, () => resolve(true));
        const reading = captureDevices(dying, devices, monitor, (state) => {
          kept = decodeDevicesState(encodeDevicesState(state));
        });
        reading.then(() => resolve(false), reject);
      });
      if (kept !== null) await undoCapture(machine, devices, kept);
      assert.deepEqual(await look(machine), before, `${sent}, ${received}: after ${accesses} accesses`);
      assert.ok(died || accesses > 100, "there was something to die in");
    }
  }
});

test("a rebuilt machine has the controllers, the timer and the NIC of the captured one", async () => {
  const machine = bootedMachine();
  traffic(machine, 5, 11);
  machine.timer.tick(0x234);
  const { state } = await captured(machine);
  const other = await rebuilt(machine, state);
  for (const [one, copy] of [
    [machine.master, other.master],
    [machine.slave, other.slave],
  ] as const) {
    const { mask, levels, vector, icw4, step, lowest, inService } = one;
    const { mask: a, levels: b, vector: c, icw4: d, step: e, lowest: f, inService: g } = copy;
    assert.deepEqual([a, b, c, d, e, f, g], [mask, levels, vector, icw4, step, lowest, inService]);
  }
  assert.equal(other.timer.mode(0), 4);
  assert.equal(other.timer.count(0), 0x1000, "a one-shot has the rest to go");
  assert.deepEqual([other.nic.transmit, other.nic.receive], [5, 11]);
  assert.equal(other.nic.sent.length, 0);
  const station = [await other.readRegister(NIC_BASE, 4), await other.readRegister(NIC_BASE + 4, 2)];
  assert.deepEqual(station, [0x0000_5452, 0x0100], "the guest's address moved along");
  assert.ok(other.nic.arrives(FRAME));
  assert.equal(other.nic.receive, 12);
});

test("without the pointers the NIC of the rebuilt machine begins at the rings' start", async () => {
  const machine = bootedMachine();
  traffic(machine, 5, 11);
  const { state } = await captured(machine);
  const other = await rebuilt(machine, state, ["pointers"]);
  assert.deepEqual([other.nic.transmit, other.nic.receive], [0, 0]);
});

test("a timer interrupt that was pending is pending again, and one in service is in service", async () => {
  const machine = bootedMachine();
  machine.timer.tick(0x1234);
  assert.equal(machine.master.requests & 1, 1);
  const pending = await captured(machine);
  const other = await rebuilt(machine, pending.state);
  assert.equal(other.master.requests & 1, 1);
  assert.equal(other.master.acknowledge(), 0);

  assert.equal(machine.master.acknowledge(), 0);
  const serving = await captured(machine);
  const third = await rebuilt(machine, {
    ...serving.state,
    shadows: pending.state.shadows,
    devices: {
      ...serving.state.devices,
      i8259: withShadow(serving.state.devices.i8259, pending.state.devices.i8259),
      i8254: pending.state.devices.i8254,
      [NIC_KEY]: pending.state.devices[NIC_KEY],
    },
  });
  assert.equal(third.master.inService & 1, 1);
  assert.equal(third.master.requests & 1, 0);
});

/** The second capture has a monitor of its own that saw nothing: the first one's is the machine's. */
function withShadow(state: unknown, shadowed: unknown): unknown {
  const chips = (state as { chips: object[] }).chips;
  const shadows = (shadowed as { chips: { shadow: object }[] }).chips;
  return { chips: chips.map((chip, index) => ({ ...chip, shadow: shadows[index]!.shadow })) };
}

test("a one-shot that was over is over at once in the rebuilt machine, however far it had counted on", async () => {
  const machine = bootedMachine();
  machine.guest("port", 0x43, 0x30);
  machine.guest("port", 0x40, 0x00);
  machine.guest("port", 0x40, 0x00);
  machine.timer.tick(0x1_8000);
  const { state } = await captured(machine);
  const other = await rebuilt(machine, state);
  assert.equal(other.timer.count(0), 1);
});

test("a NIC that asks for attention asks again after the move", async () => {
  const machine = bootedMachine();
  machine.nic.arrives(FRAME);
  assert.equal(machine.slave.requests & 8, 8);
  const { state } = await captured(machine);
  assert.equal(machine.slave.requests & 8, 0, "it is silent when the rest of the machine is saved");
  const other = await rebuilt(machine, state);
  assert.equal(other.slave.requests & 8, 8);
});

test("interrupt masks are the last thing that a rebuild writes", async () => {
  const machine = bootedMachine();
  const { state } = await captured(machine);
  const other = await rebuilt(machine, state);
  const lastMask = other.accesses.lastIndexOf("write port 21 fa");
  const lastNic = other.accesses.findLastIndex((access) => access.includes("write memory feb000"));
  assert.ok(lastMask > lastNic, "the controllers open after the NIC");
});

test("a guest in the middle of its controllers' initialisation goes on with it after the move", async () => {
  const machine = bootedMachine();
  machine.guest("port", 0x20, 0x11);
  machine.guest("port", 0x21, 0x40);
  const { state } = await captured(machine);
  const other = await rebuilt(machine, state);
  assert.equal(other.master.step, 3);
  other.guest("port", 0x21, 0x04);
  other.guest("port", 0x21, 0x03);
  assert.deepEqual([other.master.step, other.master.vector, other.master.icw4], [0, 0x40, 3]);
});

test("a monitor's record goes through JSON and on at the other side", async () => {
  const machine = bootedMachine();
  const { devices, state } = await captured(machine);
  const next = new Monitor(devices, decodeDevicesState(encodeDevicesState(state)).shadows);
  assert.deepEqual(next.record(), state.shadows);
  next.observe({ space: "port", address: 0x20, value: 0x0b, bytes: 1 });
  assert.notDeepEqual(next.record(), state.shadows);
});

test("a device that nobody knows is refused by name", async () => {
  const machine = new ModelMachine();
  machine.nic.config.writeUInt32LE(0x1234_10ec, 0);
  await assert.rejects(takeInventory(machine), {
    code: "GODWIT_METAL_UNKNOWN_DEVICE",
    message: /00:03\.0 10ec:1234 \(network\)/,
  });
});

test("a state of another machine is refused before anything is written", async () => {
  const machine = bootedMachine();
  const { state, devices } = await captured(machine);
  const { [NIC_KEY]: _, ...others } = state.devices;
  const before = machine.accesses.length;
  await assert.rejects(rebuildDevices(machine, devices, { ...state, devices: others }), {
    code: "GODWIT_METAL_STATE",
  });
  const foreign = { ...state.devices, "rtl8139@9.0": {} };
  await assert.rejects(rebuildDevices(machine, devices, { ...state, devices: foreign }), {
    code: "GODWIT_METAL_STATE",
  });
  assert.equal(machine.accesses.length, before);
  assert.throws(() => decodeDevicesState(Buffer.from('{"format":2}')), { code: "GODWIT_METAL_STATE" });
});
