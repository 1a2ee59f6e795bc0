import assert from "node:assert/strict";
import { test } from "node:test";
import { readLabSettings } from "./lab-settings.ts";

test("text becomes bytes, rates and times", () => {
  const settings = readLabSettings({
    engine: "qemu",
    memory: "2GiB",
    hold: "50%",
    dirty: "60MB/s",
    hot: "64MiB",
    link: "1Gbit/s",
    latency: "1ms",
    downtimeLimit: "30ms",
    capabilities: "multifd,xbzrle",
    parameters: "multifd-compression=zstd,multifd-channels=2",
    roundTrips: "3",
  });
  assert.equal(settings.memoryBytes, 2 * 1024 ** 3);
  assert.equal(settings.holdBytes, 1024 ** 3);
  assert.equal(settings.dirtyBytesPerSecond, 60e6);
  assert.equal(settings.linkBytesPerSecond, 125e6);
  assert.equal(settings.latencyMs, 1);
  assert.equal(settings.downtimeLimitMs, 30);
  assert.deepEqual(settings.capabilities, ["multifd", "xbzrle"]);
  assert.deepEqual(settings.parameters, { "multifd-compression": "zstd", "multifd-channels": 2 });
  assert.equal(settings.roundTrips, 3);
});

test("what is held is whole pages, whatever the share", () => {
  assert.equal(readLabSettings({ memory: "1GiB", hold: "33.3%" }).holdBytes % 4096, 0);
  assert.equal(readLabSettings({ hold: "0" }).holdBytes, 0);
});

test("an unlimited link has no rate", () => {
  assert.equal(readLabSettings({ link: "unlimited" }).linkBytesPerSecond, null);
});

test("the resume set is all that pays, nothing, or what is named", () => {
  assert.deepEqual(readLabSettings({}).resumeSet, null);
  assert.deepEqual(readLabSettings({ resumeSet: "auto" }).resumeSet, null);
  assert.deepEqual(readLabSettings({ resumeSet: "none" }).resumeSet, []);
  assert.deepEqual(readLabSettings({ resumeSet: "kernel,learned" }).resumeSet, ["kernel", "learned"]);
  for (const resumeSet of ["", "kernel,", "all", "none,kernel"]) {
    assert.throws(() => readLabSettings({ resumeSet }), { code: "GODWIT_USAGE" });
  }
});

test("a guest of huge pages has its memory exactly", () => {
  assert.equal(readLabSettings({ memoryBackend: "huge-pages" }).exactMemory, true);
  assert.equal(readLabSettings({ memoryBackend: "memfd" }).exactMemory, false);
});

test("nonsense is refused, and the message names the option", () => {
  const refused = (text: Parameters<typeof readLabSettings>[0], name: RegExp) => {
    assert.throws(() => readLabSettings(text), { code: "GODWIT_LAB_OPTION", message: name });
  };
  refused({ engine: "xen" as "qemu" }, /--engine/);
  refused({ roundTrips: "many" }, /--round-trips/);
  refused({ engine: "qemu", strategy: "hybrid" }, /--strategy/);
  refused({ engine: "godwit", freePageHint: true }, /--free-page-hint/);
  refused({ engine: "godwit", capabilities: "multifd" }, /--capabilities/);
  refused({ engine: "qemu", parameters: "downtime-limit" }, /--parameters/);
  refused({ memory: "1GiB", hold: "2GiB" }, /more than the guest's memory/);
  assert.throws(() => readLabSettings({ memory: "much" }), { code: "GODWIT_BAD_QUANTITY" });
});
