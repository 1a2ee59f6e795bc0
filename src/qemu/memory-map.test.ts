import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMemoryMap } from "./memory-map.ts";

/** QEMU 10.0.2, `pc`, 5 GiB; views of other devices before and behind. */
const text = `FlatView #1
 AS "i440FX", root: bus master container
 Root memory region: (none)
  0000000000000000-00000000000bffff (prio 0, ram): other.ram
FlatView #2
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-00000000000bffff (prio 0, ram): pc.ram
  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom
  00000000000e0000-00000000000fffff (prio 0, rom): pc.bios @0000000000020000
  0000000000100000-00000000bfffffff (prio 0, ram): pc.ram @0000000000100000 KVM
  00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic
  0000000100000000-000000017fffffff (prio 0, ram): /objects/node 1 @00000000c0000000
FlatView #3
  No rendered FlatView
`;

test("the memory of the whole system is told piece by piece, without read-only parts and devices", () => {
  assert.deepEqual(parseMemoryMap(text.replaceAll("\n", "\r\n")), [
    { guestAddress: 0, bytes: 0xc0000, block: "pc.ram", blockOffset: 0 },
    { guestAddress: 0x100000, bytes: 0xbff00000, block: "pc.ram", blockOffset: 0x100000 },
    { guestAddress: 2 ** 32, bytes: 2 ** 31, block: "/objects/node 1", blockOffset: 0xc0000000 },
  ]);
});

test("text without a view of the system has no memory", () => {
  assert.deepEqual(parseMemoryMap("FlatView #0\n No rendered FlatView\n"), []);
  assert.deepEqual(parseMemoryMap(""), []);
});
