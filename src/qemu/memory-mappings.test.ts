import assert from "node:assert/strict";
import { test } from "node:test";
import { isUntouched } from "./memory-mappings.ts";

/** An area of /proc/PID/smaps, shortened to what matters. */
function area(from: number, to: number, residentKb: number, file = "00:00 0", swappedKb = 0): string {
  const hex = (address: number) => address.toString(16);
  return [
    `${hex(from)}-${hex(to)} rw-p 00000000 ${file}`,
    `Size:${String((to - from) / 1024).padStart(19)} kB`,
    `Rss: ${String(residentKb).padStart(19)} kB`,
    "Pss:                   0 kB",
    `Swap:${String(swappedKb).padStart(19)} kB`,
    "VmFlags: rd wr mr mw me dd ac hg",
  ].join("\n");
}

const BASE = 0x7f52_3fe0_0000;
const END = BASE + 0x2000_2000;
const before = area(BASE - 0x4000, BASE, 16);
const after = area(END, END + 0x1000, 4);

test("memory without a page of its own in memory is untouched, whatever lies around it", () => {
  assert.equal(isUntouched([before, area(BASE, END, 0), after].join("\n"), BASE, END), true);
});

test("memory is untouched when all areas that it lies in are", () => {
  const middle = BASE + 0x10_0000;
  const parts = (residentKb: number) => [area(BASE, middle, 0), area(middle, END, residentKb)].join("\n");
  assert.equal(isUntouched(parts(0), BASE, END), true);
  assert.equal(isUntouched(parts(4), BASE, END), false);
});

test("memory is not untouched when a page is resident or swapped out, a file is behind it, or a part is not mapped", () => {
  const touched = [
    area(BASE, END, 4),
    area(BASE, END, 0, "00:00 0", 4),
    area(BASE, END, 0, "fe:00 4711 /var/lib/memory"),
    area(BASE, END - 0x1000, 0),
    area(BASE + 0x1000, END, 0),
    [area(BASE, BASE + 0x1000, 0), area(BASE + 0x2000, END, 0)].join("\n"),
    "",
  ];
  for (const smaps of touched) assert.equal(isUntouched(smaps, BASE, END), false, smaps);
});
