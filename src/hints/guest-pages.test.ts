import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { GodwitError } from "../base/errors.ts";
import { eachPage, runsOf } from "../pages/index.ts";
import { blockRunsOf, type GuestMemoryPiece, guestPageCount } from "./guest-pages.ts";

/** A guest of 5 GiB on `pc`: pc.ram is one piece to QEMU, and has a hole for the guest. */
const large: GuestMemoryPiece[] = [
  { firstGuestPage: 0, pages: 0xc0, block: "pc.ram", firstBlockPage: 0 },
  { firstGuestPage: 0x100, pages: 0xc0000 - 0x100, block: "pc.ram", firstBlockPage: 0x100 },
  { firstGuestPage: 0x100000, pages: 0x80000, block: "pc.ram", firstBlockPage: 0xc0000 },
];

const plain = (runs: readonly number[], pieces: readonly GuestMemoryPiece[]) =>
  blockRunsOf(Uint32Array.from(runs), pieces).map(({ block, runs: pages }) => [block, ...pages]);

test("memory above the hole is further down in its RAM block, and neighbours become one run", () => {
  assert.deepEqual(plain([0x50, 2, 0xbfffe, 2, 0x100000, 3], large), [["pc.ram", 0x50, 2, 0xbfffe, 5]]);
  assert.equal(guestPageCount(large), 0x180000);
});

test("a run over the border of two nodes is a run of each", () => {
  const nodes = [
    { firstGuestPage: 1000, pages: 1000, block: "m1", firstBlockPage: 0 },
    { firstGuestPage: 0, pages: 1000, block: "m0", firstBlockPage: 0 },
  ];
  assert.deepEqual(plain([5, 1, 990, 20, 1500, 500], nodes), [
    ["m0", 5, 1, 990, 10],
    ["m1", 0, 10, 500, 500],
  ]);
});

for (const [name, runs] of [
  ["in a hole", [0xc0, 1]],
  ["reaching into a hole", [0xbf, 2]],
  ["behind the end", [0x17ffff, 2]],
] as const) {
  test(`a run ${name} is refused`, () => {
    assert.throws(
      () => plain(runs, large),
      (error: GodwitError) => error.code === "GODWIT_HELPER_ANSWER",
    );
  });
}

test("each page comes out once, where its piece has it", () => {
  const pieces: GuestMemoryPiece[] = [
    { firstGuestPage: 0, pages: 40, block: "a", firstBlockPage: 60 },
    { firstGuestPage: 50, pages: 60, block: "a", firstBlockPage: 0 },
    { firstGuestPage: 110, pages: 20, block: "b", firstBlockPage: 5 },
  ];
  const isMemory = (page: number) => page < 40 || (page >= 50 && page < 130);
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(129), { maxLength: 80 }), (pages) => {
      const wanted = pages.filter(isMemory).sort((one, other) => one - other);
      const expected = wanted.map((page) =>
        page < 40 ? `a ${page + 60}` : page < 110 ? `a ${page - 50}` : `b ${page - 105}`,
      );
      const found = blockRunsOf(runsOf(wanted), pieces).flatMap(({ block, runs }) =>
        [...eachPage(runs)].map((page) => `${block} ${page}`),
      );
      assert.deepEqual(found.sort(), expected.sort());
    }),
  );
});
