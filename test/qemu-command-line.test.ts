import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type QemuVersion, qemuBuild } from "../src/lab/toolchain.ts";
import type { Machine } from "../src/qemu/machine.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { logTail } from "../src/qemu/start-failure.ts";
import { smallMachine, VERSIONS, Workshop } from "./qemu-machines.ts";

/** One of everything that a machine file can ask for. */
function everything(folder: string, machineType: string): Machine {
  const image = join(folder, "disk,with comma.img");
  writeFileSync(image, "");
  truncateSync(image, 1024 * 1024);
  return smallMachine(`
machine: ${machineType}
vcpus: 2
vga: std
hpet: true
disks:
  - { path: "${image}", format: raw, cache: writeback, serial: root, id: root }
nics:
  - { backend: { kind: user } }
  - { model: e1000, backend: { kind: none } }
  - { model: e1000e, backend: { kind: none } }
  - { model: rtl8139, backend: { kind: netdev, options: "hubport,hubid=1" } }
channels: [{ name: org.godwit.lab.0 }, { name: org.godwit.agent.0 }]
doorbell: true
extraArguments: ["-device", "virtio-rng-pci,addr=0x1c"]
`);
}

/** How a migration ends at one of its ends. */
async function ending(machine: RunningMachine): Promise<() => Promise<string>> {
  await machine.qmp.execute("migrate-set-capabilities", {
    capabilities: [{ capability: "events", state: true }],
  });
  const done = machine.qmp.waitForEvent(
    ({ name, data }) => name === "MIGRATION" && /completed|failed/.test((data as { status: string }).status),
    { timeoutMs: 20_000 },
  );
  return async () => ((await done).data as { status: string }).status;
}

/** @returns how it ended at the source and at the destination */
async function migrated(source: RunningMachine, destination: RunningMachine): Promise<string[]> {
  const uri = `unix:${join(destination.folder, "in.sock")}`;
  const ends = [await ending(source), await ending(destination)];
  await destination.qmp.execute("migrate-incoming", { uri });
  await source.qmp.execute("migrate", { uri });
  return Promise.all(ends.map((end) => end()));
}

/** The state that follows `state`: QEMU 7.2 says that a migration is completed a moment before it leaves that one. */
async function statusAfter(machine: RunningMachine, state: string): Promise<string> {
  for (const untilMs = performance.now() + 20_000; ; ) {
    const { status } = await machine.qmp.execute("query-status");
    if (status !== state || performance.now() > untilMs) return status;
  }
}

function pairs(): [from: QemuVersion, to: QemuVersion, type: string][] {
  const same = VERSIONS.flatMap((version) => {
    return ["pc", "q35"].map((type) => [version, version, type] as [QemuVersion, QemuVersion, string]);
  });
  return VERSIONS.length < 2
    ? same
    : [...same, ["7.2", "10.0", "pc-q35-7.2"], ["10.0", "7.2", "pc-i440fx-7.2"]];
}

for (const [from, to, type] of pairs()) {
  test(`a ${type} with one of everything moves from QEMU ${from} to ${to}, private to shared memory`, async () => {
    await using workshop = new Workshop(from);
    const machine = everything(workshop.folder, type);
    const source = await workshop.start(machine);
    const there = {
      ...machine,
      machine: source.machineType,
      memoryBackend: { kind: "memfd", hugePages: false } as const,
    };
    const destination = await workshop.start(there, {
      stateFolder: workshop.state("there"),
      qemu: qemuBuild(to).binary,
      incoming: "defer",
    });
    assert.equal(destination.machineType, source.machineType);
    const ends = await migrated(source, destination);
    assert.deepEqual(ends, ["completed", "completed"], logTail(destination.logPath));
    assert.equal((await destination.qmp.execute("query-status")).running, true);
    assert.equal(await statusAfter(source, "finish-migrate"), "postmigrate");
  });
}
