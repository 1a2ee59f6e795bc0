import assert from "node:assert/strict";
import { test } from "node:test";
import { losesUpdates, soundMemoryBytes } from "./sound-memory.ts";

const QUICK_SYNC_BYTES = 256 * 1024;
const WANTED = [256 * 1024 ** 2, 512 * 1024 ** 2 - 1, 1024 ** 3 + 8192, 100_000_000, 262_152 * 1024];

test("before QEMU 9 memory is never a multiple of 256 KiB, never smaller than asked for and a multiple of 8 KiB", () => {
  for (const wanted of WANTED) {
    for (const major of [7, 8]) {
      const bytes = soundMemoryBytes(wanted, { major });
      assert.notEqual(bytes % QUICK_SYNC_BYTES, 0);
      assert.equal(bytes % 8192, 0);
      assert.ok(bytes >= wanted && bytes - wanted <= 16_384);
      assert.ok(!losesUpdates(bytes, { major }));
    }
  }
  assert.equal(soundMemoryBytes(256 * 1024 ** 2, { major: 7 }), 262_152 * 1024);
});

test("from QEMU 9 on memory is the next multiple of 256 KiB", () => {
  for (const wanted of WANTED) {
    for (const major of [9, 10]) {
      const bytes = soundMemoryBytes(wanted, { major });
      assert.equal(bytes % QUICK_SYNC_BYTES, 0);
      assert.ok(bytes >= wanted && bytes - wanted < QUICK_SYNC_BYTES);
      assert.ok(!losesUpdates(bytes, { major }));
    }
  }
  assert.equal(soundMemoryBytes(256 * 1024 ** 2, { major: 10 }), 256 * 1024 ** 2);
});

test("what is sound for a QEMU before 9 is not for a later one, and the other way round", () => {
  for (const memoryBytes of [256 * 1024 ** 2, 262_152 * 1024]) {
    assert.notEqual(losesUpdates(memoryBytes, { major: 7 }), losesUpdates(memoryBytes, { major: 10 }));
  }
});
