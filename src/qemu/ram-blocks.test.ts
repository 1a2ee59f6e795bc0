import assert from "node:assert/strict";
import { test } from "node:test";
import { firstUnreadable, mappedFile, parseMappings } from "./memory-mappings.ts";
import { parseGuestToHost, parseRamBlocks } from "./ram-blocks.ts";

const QEMU_7 = `              Block Name    PSize              Offset               Used              Total
                  pc.ram    4 KiB  0x0000000000000000 0x0000000008002000 0x0000000008002000
    /rom@etc/acpi/tables    4 KiB  0x00000000080c0000 0x0000000000020000 0x0000000000200000\r
`;
const QEMU_10 = `              Block Name    PSize              Offset               Used              Total                HVA  RO
                  pc.ram    2 MiB  0x0000000000000000 0x0000000008200000 0x0000000008200000 0x00007f2247e00000  rw
                 pc.bios    4 KiB  0x0000000008240000 0x0000000000040000 0x0000000000040000 0x00007f2256e00000  ro
`;

test("RAM blocks are read from QEMU 7's list, without addresses, and from QEMU 10's, with them", () => {
  assert.deepEqual(parseRamBlocks(QEMU_7), [
    { name: "pc.ram", pageSizeBytes: 4096, usedBytes: 0x8002000, hostAddress: null },
    { name: "/rom@etc/acpi/tables", pageSizeBytes: 4096, usedBytes: 0x20000, hostAddress: null },
  ]);
  assert.deepEqual(parseRamBlocks(QEMU_10), [
    { name: "pc.ram", pageSizeBytes: 2 * 1024 ** 2, usedBytes: 0x8200000, hostAddress: 0x7f2247e00000 },
    { name: "pc.bios", pageSizeBytes: 4096, usedBytes: 0x40000, hostAddress: 0x7f2256e00000 },
  ]);
  assert.deepEqual(parseRamBlocks(""), []);
  assert.throws(() => parseRamBlocks("Block Name\nsomething else"), { code: "GODWIT_QMP_PROTOCOL" });
});

test("a guest address's place in QEMU is read, or there is none", () => {
  const answer = "Host virtual address for 0x0 (pc.ram) is 0x7f2b0be00000\r\n";
  assert.deepEqual(parseGuestToHost(answer), { block: "pc.ram", hostAddress: 0x7f2b0be00000 });
  assert.equal(parseGuestToHost("No memory is mapped at address 0x0"), null);
});

const MAPPINGS = parseMappings(`1000-3000 rw-p 00000000 00:00 0
3000-5000 rw-p 00000000 00:00 0                          [heap]
5000-6000 ---p 00000000 00:00 0
8000-9000 rw-s 00001000 00:01 77                         /memfd:x y (deleted)
9000-a000 rw-s 00002000 00:01 77                         /memfd:x y (deleted)
a000-b000 rw-s 00009000 00:01 77                         /memfd:x y (deleted)
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]
`);

test("the first address that can't be read is found across mappings", () => {
  assert.equal(MAPPINGS.length, 7);
  assert.equal(firstUnreadable(MAPPINGS, 0x1000, 0x5000), null);
  assert.equal(firstUnreadable(MAPPINGS, 0x2000, 0x5001), 0x5000);
  assert.equal(firstUnreadable(MAPPINGS, 0x6000, 0x8800), 0x6000);
  assert.equal(firstUnreadable(MAPPINGS, 0x0, 0x2000), 0x0);
  assert.equal(firstUnreadable(MAPPINGS, 0x8000, 0xc000), 0xb000);
  assert.equal(firstUnreadable([], 0x1000, 0x2000), 0x1000);
});

test("only an unbroken stretch of one shared file counts as that file", () => {
  const pid = 2 ** 22 + 1;
  assert.equal(mappedFile(pid, MAPPINGS, 0x1000, 0x3000), null);
  assert.equal(mappedFile(pid, MAPPINGS, 0x8000, 0xb000), null);
  assert.equal(mappedFile(pid, MAPPINGS, 0x8000, 0xa000), null, "the file itself cannot be opened");
});
