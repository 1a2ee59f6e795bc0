import assert from "node:assert/strict";
import { test } from "node:test";
import { balloonArguments } from "./balloon.ts";
import { readLabSettings } from "./lab-settings.ts";

test("stock QEMU gets a balloon only where one is wanted", () => {
  assert.deepEqual(balloonArguments("none"), []);
  assert.equal(balloonArguments({ inflateToBytes: 1 }).length, 2);
});

test("--balloon is a size, and for stock QEMU only", () => {
  assert.deepEqual(readLabSettings({ engine: "qemu", balloon: "1GiB" }).balloon, {
    inflateToBytes: 1024 ** 3,
  });
  assert.throws(() => readLabSettings({ balloon: "1GiB" }), { code: "GODWIT_LAB_OPTION" });
  assert.throws(() => readLabSettings({ engine: "qemu", balloon: "much" }), { code: "GODWIT_BAD_QUANTITY" });
});
