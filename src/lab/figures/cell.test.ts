import assert from "node:assert/strict";
import { test } from "node:test";
import { baseGuest } from "./base-guest.ts";
import { cellOf, commandOf, distinctCells, runKeyOf, settingsKeyOf } from "./cell.ts";

const cell = cellOf("qemu", baseGuest.full);

test("a cell's key depends on every setting, on what is measured beside and on nothing else", () => {
  const reordered = { ...Object.fromEntries(Object.entries(baseGuest.full).reverse()) };
  assert.equal(settingsKeyOf(cellOf("qemu", reordered)), settingsKeyOf(cell));
  assert.equal(
    settingsKeyOf(cellOf("qemu", { ...baseGuest.full, freePageHint: false })),
    settingsKeyOf(cell),
  );
  const others = [
    cellOf("qemu-zstd", baseGuest.full),
    cellOf("pre-copy", baseGuest.full),
    cellOf("qemu", { ...baseGuest.full, link: "2Gbit/s" }),
    cellOf("qemu", { ...baseGuest.full, giveUp: "46s" }),
    cellOf("qemu", baseGuest.full, { extras: ["timeline"] }),
  ];
  const keys = [cell, ...others].map(settingsKeyOf);
  assert.equal(new Set(keys).size, keys.length);
});

test("a run is valid for the version of its engine only", () => {
  assert.notEqual(runKeyOf(cell, "qemu 10.0.2"), runKeyOf(cell, "qemu 10.0.3"));
  assert.equal(runKeyOf(cell, "qemu 10.0.2"), runKeyOf({ ...cell }, "qemu 10.0.2"));
});

test("cells of two figures with the same settings are one, with the greater number of runs", () => {
  const once = cellOf("qemu", baseGuest.full, { repeats: 1 });
  assert.deepEqual(distinctCells([once, cell]), [cell]);
  assert.deepEqual(distinctCells([cell, once]), [cell]);
  assert.equal(distinctCells([cell, cellOf("pre-copy", baseGuest.full)]).length, 2);
});

test("a cell's command says its settings in the lab's own words", () => {
  const command = commandOf(cellOf("qemu-hint", { ...baseGuest.quick, link: "200Mbit/s" }));
  assert.match(command, /^npm run lab -- migrate .*--json$/);
  for (const words of [
    "--engine qemu",
    "--free-page-hint",
    "--exact-memory",
    "--link 200Mbit/s",
    "--give-up 30s",
  ]) {
    assert.ok(command.includes(words), `${command} has no ${words}`);
  }
});
