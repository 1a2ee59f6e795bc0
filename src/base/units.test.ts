import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBytes, parseBytes, parseBytesPerSecond, parseMilliseconds } from "./units.ts";

test("amounts of bytes are read with binary and decimal units", () => {
  assert.equal(parseBytes("2GiB"), 2 * 1024 ** 3);
  assert.equal(parseBytes("512M"), 512 * 1024 ** 2);
  assert.equal(parseBytes("60MB"), 60e6);
  assert.equal(parseBytes("262152K"), 262152 * 1024);
  assert.equal(parseBytes("17"), 17);
});

test("rates are read in bits and in bytes per second", () => {
  assert.equal(parseBytesPerSecond("1Gbit/s"), 125e6);
  assert.equal(parseBytesPerSecond("100Mbit/s"), 12.5e6);
  assert.equal(parseBytesPerSecond("60MB/s"), 60e6);
});

test("lengths of time are read into milliseconds", () => {
  assert.equal(parseMilliseconds("30ms"), 30);
  assert.equal(parseMilliseconds("2s"), 2000);
  assert.equal(parseMilliseconds("300"), 300);
});

test("nonsense is refused with a code", () => {
  for (const read of [parseBytes, parseBytesPerSecond, parseMilliseconds]) {
    for (const text of ["", "-1", "lots", "5 parsecs", "1e9e9"]) {
      assert.throws(() => read(text), { code: "GODWIT_BAD_QUANTITY" });
    }
  }
});

test("bytes are shown with three digits", () => {
  assert.equal(formatBytes(512), "512 B");
  assert.equal(formatBytes(1.25 * 1024 ** 3), "1.25 GiB");
  assert.equal(formatBytes(1023 * 1024 ** 2), "1023 MiB");
});
