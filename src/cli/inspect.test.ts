import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { Command } from "commander";
import { RamSectionWriter, ramSectionBytes, writeHeader, writeRamStart } from "../stream/index.ts";
import { captured } from "../stream/testing/captured.ts";
import { inspectCommand } from "./inspect.ts";
import type { Terminal } from "./terminal.ts";

const folder = mkdtempSync(join(tmpdir(), "godwit-inspect-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function inspect(...parameters: string[]): Promise<string> {
  const { output, error } = await inspectUntilError(...parameters);
  if (error !== undefined) throw error;
  return output;
}

async function inspectUntilError(...parameters: string[]): Promise<{ output: string; error: unknown }> {
  let output = "";
  const stdout = new PassThrough();
  stdout.on("data", (text: Buffer) => {
    output += text.toString();
  });
  const terminal: Terminal = {
    stdout,
    stderr: new PassThrough(),
    interactive: false,
    environment: {},
    onInterrupt: () => () => {},
  };
  const program = new Command();
  inspectCommand(program, terminal);
  let error: unknown;
  try {
    await program.parseAsync(["inspect", ...parameters], { from: "user" });
  } catch (thrown) {
    error = thrown;
  }
  stdout.end();
  return { output, error };
}

const { bytes } = captured("precopy.stream")[0]!;

test("a stream is shown with its blocks, records and devices", async () => {
  const output = await inspect(file("plain", bytes));
  assert.match(output, /stream version 3, pc-i440fx-\d+\.\d, 1\.06 MiB, complete/);
  assert.match(output, /^pc\.ram +4\.01 MiB +\d+ +\d+$/m);
  assert.match(output, /^227 +[\d,]+ +RAM part: \d+ data and 1,\d+ zero pages$/m);
  assert.match(output, /^0000:00:03\.0\/virtio-net +0 +11 +\d+ +46,185 +1$/m);
});

test("as JSON everything adds up, in records and in devices", async () => {
  const summary = JSON.parse(await inspect(file("plain", bytes), "--json"));
  assert.equal(summary.complete, true);
  assert.equal(summary.bytes, bytes.length);
  let end = 8;
  for (const record of summary.records) {
    assert.equal(record.offset, end);
    end += record.bytes;
  }
  assert.equal(end, bytes.length);
  const pages = summary.blocks.reduce((sum: number, block: { dataPages: number; zeroPages: number }) => {
    return sum + block.dataPages + block.zeroPages;
  }, 0);
  const memory = summary.blocks.reduce(
    (sum: number, block: { usedBytes: number }) => sum + block.usedBytes,
    0,
  );
  assert.equal(pages, memory / 4096);
  const cpu = summary.devices.find((device: { name: string }) => device.name === "cpu");
  assert.equal(cpu.fields["env.regs"].length, 16);
  assert.equal(bytes[cpu.offset], 4);
  assert.equal(bytes[cpu.offset + cpu.bytes - 5], 0x7e);
});

test("compressed streams are read too", async () => {
  const plain = JSON.parse(await inspect(file("plain", bytes), "--json"));
  for (const packed of [zstdCompressSync(bytes), gzipSync(bytes)]) {
    const { file: _file, ...rest } = JSON.parse(await inspect(file("packed", packed), "--json"));
    const { file: _plain, ...expected } = plain;
    assert.deepEqual(rest, expected);
  }
});

test("a stream is read from standard input", async () => {
  const script = `import { Command } from "commander";
    const { inspectCommand } = await import(${JSON.stringify(new URL("./inspect.ts", import.meta.url).href)});
    const program = new Command();
    inspectCommand(program, { stdout: process.stdout });
    await program.parseAsync(["inspect", "-", "--device", "cpu"], { from: "user" });`;
  const output = await new Promise<string>((resolve, reject) => {
    const child = execFile(process.execPath, ["--input-type=module", "-e", script], (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
    child.stdin!.end(bytes);
  });
  assert.match(output, /^cpu \(instance 0, version 12\)\n {2}env\.regs: \d+ /);
});

test("a device is found without its bus address, and one that isn't there is a usage error", async () => {
  const path = file("plain", bytes);
  assert.match(await inspect(path, "--device", "e1000"), /^ +tx\.data: 0+… \(131072 characters\)$/m);
  const [device] = JSON.parse(await inspect(path, "--device", "vga", "--json"));
  assert.equal(device.fields.vga.latch, 0);
  await assert.rejects(inspect(path, "--device", "floppy"), { code: "GODWIT_USAGE", advice: /cpu.*e1000/ });
});

test("of a stream that breaks off, what is there is shown before the error", async () => {
  const path = file("torn", bytes.subarray(0, 700_000));
  const { output, error } = await inspectUntilError(path);
  assert.match(output, /INCOMPLETE/);
  assert.match(output, /RAM part/);
  assert.equal((error as { code: string }).code, "GODWIT_STREAM_TRUNCATED");
});

test("many RAM sections are shown as their ends", async () => {
  const blocks = [{ name: "pc.ram", usedBytes: 2 ** 20, pageSizeBytes: 4096 }];
  const start = Buffer.alloc(1024);
  const writer = new RamSectionWriter(2, blocks, Buffer.alloc(ramSectionBytes(1)));
  const parts = Array.from({ length: 100 }, (_, page) => {
    writer.begin();
    writer.zero(0, page);
    return Buffer.from(writer.finish());
  });
  const stream = Buffer.concat([
    start.subarray(0, writeRamStart(start, writeHeader(start, 0), 2, blocks)),
    ...parts,
  ]);
  const { output } = await inspectUntilError(file("many", stream));
  assert.equal(output.match(/RAM part: 0 data and 1 zero pages/g)?.length, 10);
  assert.match(output, /^… +90 more RAM parts$/m);
});

test("what can't be read or is no stream is a typed error", async () => {
  await assert.rejects(inspect(join(folder, "nothing")), { code: "GODWIT_INSPECT_FILE" });
  await assert.rejects(inspect(file("text", Buffer.from("hello, world"))), {
    code: "GODWIT_STREAM_BAD_MAGIC",
  });
  await assert.rejects(inspect(file("empty", Buffer.alloc(0))), { code: "GODWIT_STREAM_TRUNCATED" });
  const damaged = zstdCompressSync(bytes).subarray(0, 5000);
  await assert.rejects(inspect(file("damaged", damaged)), { code: /GODWIT_(INSPECT_FILE|STREAM_TRUNCATED)/ });
});
