import assert from "node:assert/strict";
import { test } from "node:test";
import { balloonArguments } from "./balloon.ts";
import { readLabSettings } from "./lab-settings.ts";

test("stock QEMU gets a balloon only where one is wanted, and a thread of its own for hints", () => {
  assert.deepEqual(balloonArguments("none"), []);
  assert.equal(balloonArguments({ inflateToBytes: 1 }).length, 2);
  const hint = balloonArguments("hint").join(" ");
  assert.match(hint, /-object iothread,id=hints .*free-page-hint=on,iothread=hints/);
});

test("--balloon is hint, or a size, and for stock QEMU only", () => {
  assert.deepEqual(readLabSettings({ engine: "qemu", balloon: "1GiB" }).balloon, {
    inflateToBytes: 1024 ** 3,
  });
  assert.equal(readLabSettings({ engine: "qemu", balloon: "hint" }).balloon, "hint");
  assert.throws(() => readLabSettings({ balloon: "hint" }), { code: "GODWIT_LAB_OPTION" });
  assert.throws(() => readLabSettings({ engine: "qemu", balloon: "much" }), { code: "GODWIT_BAD_QUANTITY" });
});
