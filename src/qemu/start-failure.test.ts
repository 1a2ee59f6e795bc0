import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startFailure } from "./start-failure.ts";

const LAST_WORDS: readonly [words: string, code: string][] = [
  [
    '-device virtio-blk-pci: Failed to get "write" lock\nIs another process using the image [x]?',
    "GODWIT_IMAGE_LOCKED",
  ],
  ['-device virtio-blk-pci: Failed to get shared "consistent read" lock', "GODWIT_IMAGE_LOCKED"],
  ["-netdev user: Could not set up host forwarding rule 'tcp::22-:22'", "GODWIT_PORT_TAKEN"],
  ["-vnc :1: Failed to bind socket: Address already in use", "GODWIT_PORT_TAKEN"],
  ["cannot set up guest memory 'pc.ram': Cannot allocate memory", "GODWIT_NO_MEMORY"],
  ["-chardev file: No space left on device", "GODWIT_NO_SPACE"],
  ["Could not access KVM kernel module: Permission denied", "GODWIT_NO_KVM"],
  ["-netdev tap: could not configure /dev/net/tun (tap0): Operation not permitted", "GODWIT_TAP"],
  ["cannot create PID file: Cannot lock pid file", "GODWIT_MACHINE_RUNNING"],
  ["-device x: 'x' is not a valid device model name", "GODWIT_QEMU_START"],
  ["", "GODWIT_QEMU_START"],
];

test("QEMU's last words become the error's code, and only those of this start count", () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-log-"));
  const log = join(folder, "qemu.log");
  const earlier = 'Failed to get "write" lock\n';
  for (const [words, code] of LAST_WORDS) {
    writeFileSync(log, `${earlier}${words}\n`);
    const error = startFailure("vm", "ended with status 1", log, earlier.length);
    assert.equal(error.code, code, words);
    assert.ok(error.message.includes(words === "" ? "wrote nothing" : words), error.message);
    assert.ok(!error.message.includes(earlier.trim()) || words.includes(earlier.trim()));
  }
  rmSync(folder, { recursive: true });
  assert.equal(startFailure("vm", "ended", log, 0).code, "GODWIT_QEMU_START");
});
