import assert from "node:assert/strict";
import { test } from "node:test";
import { runsOf } from "../pages/index.ts";
import {
  readDiscard,
  readPackage,
  writeDiscard,
  writeOpenReturnPath,
  writePackage,
  writePing,
  writePostcopyAdvise,
  writePostcopyResume,
  writeReceivedBitmapRequest,
} from "./index.ts";

function written(write: (out: Buffer) => number): string {
  const out = Buffer.alloc(1024);
  return out.subarray(0, write(out)).toString("hex");
}

test("commands have the bytes that stock QEMU takes", () => {
  assert.equal(
    written((out) => writeOpenReturnPath(out, 0)),
    "0800010000",
  );
  assert.equal(
    written((out) => writePing(out, 0, 1)),
    "080002000400000001",
  );
  assert.equal(
    written((out) => writePostcopyAdvise(out, 0, 0x1000)),
    `0800030010${"0000000000001000".repeat(2)}`,
  );
  assert.equal(
    written((out) => writeDiscard(out, 0, "pc.ram", runsOf([0]))),
    "080006" + "0019" + "00" + "06" + "70632e72616d" + "00" + "0000000000000000" + "0000000000001000",
  );
  assert.equal(
    written((out) => writeReceivedBitmapRequest(out, 0, "a")),
    "08000a00020161",
  );
  assert.equal(
    written((out) => writePostcopyResume(out, 0)),
    "0800090000",
  );
  assert.equal(
    written((out) => writePackage(out, 0, { deviceState: Buffer.from("047e", "hex"), ping: 3 })),
    `0800070004${"00000015"}0800040000${"047e"}080002000400000003${"0800050000"}`,
  );
});

test("discards are read as they were written, also of some runs only", () => {
  const out = Buffer.alloc(1024);
  const runs = runsOf([1, 2, 3, 7, 100_000_000]);
  const payload = out.subarray(5, writeDiscard(out, 0, "vga", runs, 1, 3));
  assert.deepEqual(readDiscard(payload), {
    block: "vga",
    ranges: [
      { firstPage: 7, pageCount: 1 },
      { firstPage: 100_000_000, pageCount: 1 },
    ],
  });
  for (const wrong of [
    "",
    "00",
    "0002",
    "010161000",
    "00016100ff",
    "00016101",
    `00016100${"00".repeat(15)}`,
  ]) {
    assert.throws(() => readDiscard(Buffer.from(wrong, "hex")), { code: "GODWIT_STREAM_BAD_COMMAND" });
  }
  assert.throws(() => readDiscard(Buffer.from(`00016100${"01".repeat(16)}`, "hex")), {
    code: "GODWIT_STREAM_BAD_COMMAND",
  });
});

test("packages are taken apart", () => {
  const out = Buffer.alloc(1024);
  const deviceState = Buffer.from("0400000001037e00000001", "hex");
  for (const ping of [undefined, 3]) {
    const parts = ping === undefined ? { deviceState } : { deviceState, ping };
    const found = readPackage(out.subarray(9, writePackage(out, 0, parts)));
    assert.deepEqual(
      { ...found, deviceState: Buffer.from(found.deviceState) },
      { listens: true, runs: true, deviceState, ping },
    );
  }
  const bare = readPackage(deviceState);
  assert.deepEqual([bare.listens, bare.runs, bare.ping], [false, false, undefined]);
});
