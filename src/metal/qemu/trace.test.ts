import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TraceFile } from "./trace-file.ts";
import { parseTraceLine, type TracedWrite } from "./trace-line.ts";

const LINE =
  "13503@1795261341.996993:memory_region_ops_write cpu 0 mr 0x562aabedb1e0 addr 0x4d0 value 0xc size 1 name 'elcr'";

function traceFile(): { path: string; [Symbol.dispose](): void } {
  const folder = mkdtempSync(join(tmpdir(), "godwit-trace-"));
  const path = join(folder, "trace.log");
  writeFileSync(path, "");
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

test("a line of QEMU's trace tells who wrote what where", () => {
  assert.deepEqual(parseTraceLine(LINE), {
    processor: 0,
    space: "port",
    address: 0x4d0,
    value: 0xc,
    bytes: 1,
    region: "elcr",
  });
  const ours = parseTraceLine(
    "memory_region_ops_write cpu -1 mr 0x1 addr 0xfec00000 value 0x0 size 4 name 'ioapic'",
  );
  assert.deepEqual([ours?.processor, ours?.space], [-1, "memory"]);
  assert.equal(parseTraceLine("qemu-system-x86_64: warning: something else"), null);
});

test("a line that comes in pieces is read once it is whole, and a later reader goes on behind it", () => {
  using trace = traceFile();
  const seen: TracedWrite[] = [];
  using reader = new TraceFile(trace.path);
  appendFileSync(trace.path, `${LINE}\n${LINE.slice(0, 40)}`);
  reader.read((write) => seen.push(write));
  assert.equal(seen.length, 1);
  assert.equal(reader.offset, LINE.length + 1);
  appendFileSync(trace.path, `${LINE.slice(40)}\n`);
  using later = new TraceFile(trace.path, reader.offset);
  later.read((write) => seen.push(write));
  reader.read((write) => seen.push(write));
  assert.equal(seen.length, 3);
});

test("what has been read is cut out of the file, and the rest is still there", () => {
  using trace = traceFile();
  const lines = `${LINE}\n`.repeat(200_000);
  appendFileSync(trace.path, lines);
  using reader = new TraceFile(trace.path);
  let count = 0;
  reader.read(() => {
    count += 1;
  });
  assert.equal(count, 200_000);
  reader.forget(reader.offset);
  const { size, blocks } = statSync(trace.path);
  assert.equal(size, lines.length);
  assert.ok(blocks * 512 < 8192, `${blocks * 512} bytes are still on disk`);
  appendFileSync(trace.path, `${LINE}\n`);
  reader.read(() => {
    count += 1;
  });
  assert.equal(count, 200_001);
});
