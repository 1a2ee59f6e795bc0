import assert from "node:assert/strict";
import { test } from "node:test";
import { ownBlocks, sameHostPages } from "./ram-blocks.ts";

const MIB = 1 << 20;

function offered(name: string, mebibytes: number, pageSizeBytes = 4096) {
  return { name, usedBytes: mebibytes * MIB, pageSizeBytes };
}

function own(name: string, mebibytes: number, pageSizeBytes = 4096) {
  return { ...offered(name, mebibytes, pageSizeBytes), hostAddress: null };
}

test("a block is the one of its name, whatever the order, with the page size of this host", () => {
  const blocks = ownBlocks(
    [offered("pc.ram", 512), offered("vga.vram", 16)],
    [own("vga.vram", 16), own("pc.ram", 512, 2 * MIB)],
  );
  assert.deepEqual(blocks, [offered("pc.ram", 512, 2 * MIB), offered("vga.vram", 16)]);
});

test("blocks of other names are those of the same size, in QEMU's order, and never one that has its namesake", () => {
  const blocks = ownBlocks(
    [offered("m0", 64), offered("m1", 64), offered("bios", 64)],
    [own("bios", 64), own("n1", 64), own("n0", 32), own("n2", 64)],
  );
  assert.deepEqual(
    blocks.map(({ name }) => name),
    ["n1", "n2", "bios"],
  );
});

test("a block without counterpart is refused by name", () => {
  assert.throws(() => ownBlocks([offered("m0", 64)], [own("n0", 32)]), {
    code: "GODWIT_RAM_BLOCKS",
    message: /"m0".*"n0"/,
  });
});

test("host pages are compared block by block, under whatever names", () => {
  const huge = 2 * MIB;
  assert.equal(sameHostPages([offered("m0", 64, huge)], [own("n0", 64, huge)]), true);
  assert.equal(sameHostPages([offered("m0", 64, huge)], [own("n0", 64)]), false);
  assert.equal(sameHostPages([offered("m0", 64), offered("rom", 1)], [own("m0", 64)]), true);
});
