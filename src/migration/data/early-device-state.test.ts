import assert from "node:assert/strict";
import { test } from "node:test";
import { EarlyDeviceState } from "./early-device-state.ts";

function early(): { state: EarlyDeviceState; told: number[] } {
  const told: number[] = [];
  return { state: new EarlyDeviceState((bytes) => told.push(bytes.length)), told };
}

test("the device state is told once, as soon as it looks whole", () => {
  const { state, told } = early();
  state.unchecked(new Uint8Array(7));
  assert.deepEqual(told, [7]);
  state.checked(new Uint8Array(7));
  assert.deepEqual(told, [7]);
});

test("where nothing looked whole before the check it is told then", () => {
  const { state, told } = early();
  state.checked(new Uint8Array(9));
  assert.deepEqual(told, [9]);
});

test("a device state that went on behind what was told of it ends the migration", () => {
  const { state, told } = early();
  state.unchecked(new Uint8Array(3));
  state.unchecked(new Uint8Array(9));
  assert.throws(() => state.checked(new Uint8Array(9)), {
    code: "GODWIT_STREAM_BAD_DEVICES",
    message: /9 bytes, but seemed to end after 3/,
  });
  assert.deepEqual(told, [3]);
});
