import assert from "node:assert/strict";
import { test } from "node:test";
import { Outrun } from "./outrun.ts";

/** Requests at a steady rate, and what is said at the end of them. */
function asks(outrun: Outrun, fromMs: number, toMs: number, perSecond: number): boolean {
  for (let atMs = fromMs; atMs < toMs; atMs += 1000 / perSecond) outrun.asked(atMs);
  outrun.look(toMs);
  return outrun.isOutrun;
}

test("a guest that asks for pages on their way now and then does not outrun push", () => {
  assert.equal(asks(new Outrun(), 0, 5_000, 15), false);
});

test("one that keeps asking does, and still does while it asks less for being served faster", () => {
  const outrun = new Outrun();
  assert.equal(asks(outrun, 0, 1_000, 50), true);
  assert.equal(asks(outrun, 1_000, 3_000, 10), true);
});

test("it ends when the guest asks no more, and begins anew", () => {
  const outrun = new Outrun();
  assert.equal(asks(outrun, 0, 1_000, 50), true);
  outrun.look(2_000);
  assert.equal(outrun.isOutrun, false);
  assert.equal(asks(outrun, 2_000, 3_000, 10), false);
  assert.equal(asks(outrun, 3_000, 4_000, 50), true);
});
