import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkRuns, countPages, eachPage, runsOf } from "./index.ts";

const pages = fc
  .array(fc.oneof(fc.nat(50), fc.nat(10_000)), { maxLength: 60 })
  .map((list) => [...new Set(list)].sort((a, b) => a - b));

test("pages become runs and pages again", () => {
  fc.assert(
    fc.property(pages, (list) => {
      const runs = runsOf(list);
      assert.deepEqual([...eachPage(runs)], list);
      assert.equal(countPages(runs), list.length);
      assert.equal(checkRuns(runs, { pageCount: 10_001 }), list.length);
    }),
  );
});

test("runs that are odd, empty, descending, overlapping or outside the block are refused", () => {
  const wrong = [[1], [1, 0], [5, 1, 3, 1], [5, 2, 6, 1], [99, 2], [0xffffffff, 0xffffffff], [0, 101]];
  for (const runs of wrong) {
    assert.throws(() => checkRuns(Uint32Array.from(runs), { pageCount: 100 }), {
      code: "GODWIT_PAGES_BAD_RUNS",
    });
  }
  assert.throws(() => checkRuns(Uint32Array.of(0, 9), { pageCount: 100, maxPages: 8 }), {
    code: "GODWIT_PAGES_BAD_RUNS",
  });
});
