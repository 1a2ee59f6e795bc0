import assert from "node:assert/strict";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { GuestHelper } from "../src/hints/index.ts";
import type { QemuVersion } from "../src/lab/toolchain.ts";
import { qemuVersions, toolchain } from "../src/lab/toolchain.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { Workshop } from "./qemu-machines.ts";
import { guestMachine, HELPER_CHANNEL, helpfulGuestMachine, speakWith } from "./support/guest.ts";

const MIB = 1 << 20;
/** Emulated guests boot in a few seconds; a busy machine may be ten times slower. */
const BOOT_TIMEOUT_MS = 120_000;

const tools = toolchain();

for (const version of ["10.0", "7.2"] as const) {
  for (const machineType of ["pc", "q35"]) {
    const missing = tools.guest === null || tools.qemu[version] === undefined;
    test(
      `the guest boots, holds, verifies and powers off on QEMU ${version}, ${machineType}`,
      {
        timeout: 240_000,
        skip: missing ? `QEMU ${version} or the guest image is not available` : false,
      },
      () => bootAndCheck(version, machineType),
    );
  }
}

test("a command that comes as soon as its program has connected is answered by a busy guest, too", {
  timeout: 240_000,
  skip:
    tools.guest === null || qemuVersions().length === 0 ? "QEMU or the guest image is not available" : false,
}, async () => {
  const [newest] = qemuVersions();
  await using workshop = new Workshop(newest!);
  const machine = await workshop.start(helpfulGuestMachine(newest!));
  {
    using guest = await speakWith(machine);
    await guest.ping({ timeoutMs: BOOT_TIMEOUT_MS });
  }
  // Reading the kernel's word on each page, which nothing interrupts, is what delays its word on connections.
  using helper = await GuestHelper.connect(machine.channelPath(HELPER_CHANNEL), 65_536);
  let busy = true;
  const reading = (async () => {
    while (busy) await helper.kernelPages({ tablesOnly: false, mostRuns: 65_536 });
  })();
  try {
    for (let time = 0; time < 100; time++) {
      using guest = await speakWith(machine);
      await guest.ping({ timeoutMs: 10_000 });
    }
  } finally {
    busy = false;
    await reading;
  }
});

async function bootAndCheck(version: QemuVersion, machineType: string): Promise<void> {
  await using workshop = new Workshop(version);
  const disk = `${workshop.folder}/disk.img`;
  writeFileSync(disk, "");
  truncateSync(disk, MIB);
  const extra = [
    "-drive",
    `if=none,id=records,format=raw,file=${disk}`,
    "-device",
    "virtio-blk-pci,drive=records,addr=0xb",
  ];
  const machine = await workshop.start(
    guestMachine(version, `machine: ${machineType}\nvcpus: 2\nextraArguments: ${JSON.stringify(extra)}`),
  );
  using guest = await speakWith(machine);
  await guest.ping({ timeoutMs: BOOT_TIMEOUT_MS }).catch(withConsole(machine));

  await guest.load({ holdBytes: 32 * MIB, content: "random", hotBytes: 4 * MIB, dirtyBytesPerSecond: 10e6 });
  const { updates, holdBytes } = await guest.waitUntilReady();
  assert.equal(holdBytes, 32 * MIB);
  while ((await guest.status()).updates < updates + 1000);
  const verdict = await guest.verify();
  assert.equal(verdict.bad, 0, JSON.stringify(verdict));
  assert.ok(verdict.generation > 1);

  // Root in a guest knows where its pages lie; reports of damage depend on it.
  await guest.corrupt("lost", 8000);
  const damaged = await guest.verify();
  assert.deepEqual({ bad: damaged.bad, lost: damaged.lost }, { bad: 1, lost: 1 });
  assert.ok(damaged.first[0]!.frame > 0);

  await guest.openDisk("/dev/vda", 1e6);
  while ((await guest.status()).disk.records < 5);
  assert.equal((await guest.verifyDisk()).bad, 0);

  await guest.powerOff();
  const { exitCode, shutdown } = await machine.waitForExit();
  assert.deepEqual({ exitCode, reason: shutdown?.reason }, { exitCode: 0, reason: "guest-shutdown" });
}

function withConsole(machine: RunningMachine): (error: unknown) => never {
  return (cause) => {
    throw new Error(`the guest didn't come up: ${readFileSync(machine.serialLogPath, "utf8")}`, { cause });
  };
}
