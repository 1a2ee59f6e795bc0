import assert from "node:assert/strict";
import { GuestControl, type LoadSettings } from "../../src/lab/guest-control.ts";
import { GUEST_KERNEL_PARAMETERS, guestImage, type QemuVersion } from "../../src/lab/toolchain.ts";
import type { Machine } from "../../src/qemu/machine.ts";
import { parseMachineFile } from "../../src/qemu/machine-file.ts";
import type { RunningMachine } from "../../src/qemu/running-machine.ts";
import { soundMemoryBytes } from "../../src/qemu/sound-memory.ts";

/** The virtio-serial port that the load generator takes commands on. */
const CONTROL_CHANNEL = "org.godwit.lab.0";

/** The port of the guest's helper. */
export const HELPER_CHANNEL = "org.godwit.guest.0";

/** How much memory a test's guest has, or a little more. */
const MEMORY_BYTES = 256 * 1024 ** 2;

/** The memory of a test's guest, of a size that this QEMU keeps whole under TCG. */
export function testMemory(version: QemuVersion, bytes = MEMORY_BYTES): string {
  return `${soundMemoryBytes(bytes, { major: Number.parseInt(version, 10) }) / 1024}KiB`;
}

/** A machine for that QEMU with the test guest in it and what `more` adds as YAML. */
export function guestMachine(
  version: QemuVersion,
  more = "",
  name = "web",
  memory = testMemory(version),
): Machine {
  const { kernel, initrd } = guestImage();
  return parseMachineFile(`name: ${name}
memory: ${memory}
kernel: ${kernel}
initrd: ${initrd}
append: "${GUEST_KERNEL_PARAMETERS}"
channels: [{name: ${CONTROL_CHANNEL}}]
${more}`);
}

/** The same, with a helper that tells what is free; `append` goes to the guest's kernel. */
export function helpfulGuestMachine(
  version: QemuVersion,
  more = "",
  append = "",
  memory = testMemory(version),
): Machine {
  const machine = guestMachine(version, more, "web", memory);
  return {
    ...machine,
    append: `${machine.append} ${append}`.trim(),
    channels: [...machine.channels, { name: HELPER_CHANNEL }],
  };
}

/** Speaks with the guest in a machine, wherever that runs. */
export function speakWith(machine: RunningMachine): Promise<GuestControl> {
  return GuestControl.overSerial(machine.channelPath(CONTROL_CHANNEL));
}

/** An emulated guest boots in 3 to 10 s; a machine that is kept from running most of the time gets two minutes. */
const BOOT_TIMEOUT_MS = 120_000;

/**
 * Has the guest hold and dirty memory; resolves when it does. It may still be booting.
 *
 * On QEMU before 9 it holds only: of the two ways in which TCG's dirty log loses updates no memory size avoids both
 * there, and one in some 30 moves of a dirtying guest lost one (docs/testing.md, "A race in QEMU's emulation").
 */
export async function loadGuest(machine: RunningMachine, load: LoadSettings): Promise<void> {
  using guest = await speakWith(machine);
  await guest.ping({ timeoutMs: BOOT_TIMEOUT_MS });
  await guest.load(machine.version.major < 9 ? { ...load, dirtyBytesPerSecond: 0 } : load);
  await guest.waitUntilReady();
}

/**
 * The load that most tests use: half of the memory held, 16 MiB of it dirtied all the time, at a rate that pre-copy
 * keeps up with on the slowest machine seen.
 */
export const BUSY: LoadSettings = {
  holdBytes: 128 * 1024 ** 2,
  content: "text",
  hotBytes: 16 * 1024 ** 2,
  dirtyBytesPerSecond: 10e6,
};

/** The guest's own word that no page of what it holds is torn, stale or lost. */
export async function assertWhole(machine: RunningMachine): Promise<void> {
  using guest = await speakWith(machine);
  const verdict = await guest.verify();
  assert.equal(verdict.bad, 0, JSON.stringify(verdict));
  assert.ok(verdict.pages > 0, "the guest holds nothing: the check means nothing");
}
