import assert from "node:assert/strict";
import { test } from "node:test";
import { bandwidthText, ends, growsWithX, msText, secondsText } from "./words.ts";

const series = (...medians: number[]) => medians.map((median, at) => ({ x: 2 ** at, median }));

test("a value grows with x when it does by at least half as much as in proportion", () => {
  assert.equal(growsWithX(ends(series(1, 1.2, 1.8))!), false);
  assert.equal(growsWithX(ends(series(1, 2, 4))!), true);
  assert.equal(growsWithX(ends(series(1, 1.7))!), true);
  assert.equal(growsWithX(ends(series(1, 1.4))!), false);
});

test("one point has no ends", () => {
  assert.equal(ends(series(1)), null);
  assert.equal(ends([]), null);
});

test("what was not measured is a dash", () => {
  assert.equal(secondsText(null), "–");
  assert.equal(secondsText(1.234), "1.23 s");
  assert.equal(msText(1234.4), "1,234 ms");
  assert.equal(bandwidthText(266.1), "266 Mbit/s");
  assert.equal(bandwidthText(2500), "2.50 Gbit/s");
});
