import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  bytesOf,
  learnedFrom,
  MOST_LEARNED_PAGES,
  readLearnedPages,
  uniteLearned,
  writeLearnedPages,
} from "./learned-pages.ts";

function machineFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-learned-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("the list is read back as it was written, and nobody else may read it", (t) => {
  const folder = machineFolder(t);
  const learned = Uint32Array.of(0, 7, 3, 0xffff_ffff);
  writeLearnedPages(folder, learned);
  assert.deepEqual(readLearnedPages(folder), learned);
  assert.equal(statSync(join(folder, "learned-pages")).mode & 0o777, 0o600);
  writeLearnedPages(folder, Uint32Array.of(1, 2));
  assert.deepEqual(readLearnedPages(folder), Uint32Array.of(1, 2));
});

test("a machine without a list has an empty one", (t) => {
  assert.deepEqual(readLearnedPages(machineFolder(t)), new Uint32Array());
  assert.deepEqual(readLearnedPages("/nowhere/at/all"), new Uint32Array());
});

test("what is torn off a file or a message is left out", (t) => {
  const folder = machineFolder(t);
  writeLearnedPages(folder, Uint32Array.of(0, 1, 0, 2));
  const file = join(folder, "learned-pages");
  writeFileSync(file, readFileSync(file).subarray(0, 13));
  assert.deepEqual(readLearnedPages(folder), Uint32Array.of(0, 1));
  assert.deepEqual(learnedFrom(new Uint8Array(7)), new Uint32Array());
});

test("a list is little-endian bytes, also of a part of an array and from an odd address", () => {
  const part = Uint32Array.of(9, 0x0102_0304, 5, 9).subarray(1, 3);
  assert.deepEqual([...bytesOf(part)], [4, 3, 2, 1, 5, 0, 0, 0]);
  const odd = Buffer.concat([Buffer.of(0xff), bytesOf(part)]).subarray(1);
  assert.deepEqual(learnedFrom(odd), Uint32Array.of(0x0102_0304, 5));
});

test("a list that is too long is cut", () => {
  const bytes = new Uint8Array(8 * (MOST_LEARNED_PAGES + 1));
  assert.equal(learnedFrom(bytes).length, 2 * MOST_LEARNED_PAGES);
});

test("earlier requests stay in front, new ones follow in their order, each page once", () => {
  const united = uniteLearned(Uint32Array.of(0, 5, 1, 5, 0, 5), [0, 9, 1, 5, 0, 9, 0, 1]);
  assert.deepEqual(united, Uint32Array.of(0, 5, 1, 5, 0, 9, 0, 1));
  assert.deepEqual(uniteLearned(new Uint32Array(), []), new Uint32Array());
  assert.deepEqual(uniteLearned(Uint32Array.of(1, 2, 3), [4]), Uint32Array.of(1, 2));
});

test("a union never holds more than may be kept, and the earlier requests are what stays", () => {
  const all = Array.from({ length: MOST_LEARNED_PAGES - 1 }, (_, page) => [0, page]).flat();
  const united = uniteLearned(Uint32Array.from(all), [2, 1, 2, 2, 2, 3]);
  assert.equal(united.length, 2 * MOST_LEARNED_PAGES);
  assert.deepEqual([...united.slice(-4)], [0, MOST_LEARNED_PAGES - 2, 2, 1]);
});
