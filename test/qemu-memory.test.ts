import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { guestImage } from "../src/lab/toolchain.ts";
import { GuestMemory } from "../src/qemu/guest-memory.ts";
import {
  type MemorySource,
  memoryLayout,
  surveyBlocks,
  surveyMemory,
  untouchedMemory,
} from "../src/qemu/memory-layout.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { smallMachine, VERSIONS, Workshop } from "./qemu-machines.ts";

const PAGE = 4096;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** Below 1 MiB a PC has video memory and ROM over its RAM. */
const LEGACY_HOLE: readonly [fromPage: number, toPage: number] = [0xa0, 0x100];

/** Where QEMU puts a file into the guest's memory, so that there is something to compare. */
const LOADED_AT_PAGE = 0x1000;

/** Guest memory as QEMU itself saves it. */
async function saved(machine: RunningMachine, address: number, bytes: number): Promise<Buffer> {
  const filename = join(machine.folder, "saved.bin");
  await machine.qmp.execute("pmemsave", { val: address, size: bytes, filename });
  const content = readFileSync(filename);
  rmSync(filename);
  return content;
}

function mainBlock(sources: readonly MemorySource[]): MemorySource {
  const main = sources.find(({ block }) => block === "pc.ram");
  assert.ok(main);
  return main;
}

const [newest = "10.0"] = VERSIONS;

for (const version of VERSIONS) {
  for (const backend of ["private", "file", "memfd"] as const) {
    test(`QEMU ${version}: ${backend} memory reads as pmemsave saves it`, async () => {
      await using workshop = new Workshop(version);
      const { initrd } = guestImage();
      const loader = `loader,file=${initrd},force-raw=on,addr=${LOADED_AT_PAGE * PAGE}`;
      const machine = await workshop.start(
        smallMachine(`extraArguments: ["-device", "${loader}"]\nmemoryBackend: {kind: ${backend}}`),
        { paused: true },
      );
      const { sources, unreadable } = await surveyMemory(machine);
      const main = mainBlock(sources);
      assert.equal(main.usedBytes, machine.machine.memoryBytes);
      assert.equal(main.source.kind, backend === "private" ? "process" : "file");
      if (version === "7.2") assert.ok(unreadable.some(({ block }) => block === "pc.bios"));
      else assert.deepEqual(unreadable, []);

      const expected = await saved(machine, 0, main.usedBytes);
      const pages = main.usedBytes / PAGE;
      const content = Buffer.alloc(main.usedBytes);
      const memory = new GuestMemory([main]);
      for (let page = 0; page < pages; page += 256) {
        memory.read(0, page, Math.min(256, pages - page), content, page * PAGE);
      }
      memory.close();
      const [holeStart, holeEnd] = LEGACY_HOLE;
      assert.ok(content.subarray(0, holeStart * PAGE).equals(expected.subarray(0, holeStart * PAGE)));
      assert.ok(content.subarray(holeEnd * PAGE).equals(expected.subarray(holeEnd * PAGE)));
      const loaded = readFileSync(initrd);
      assert.ok(
        content
          .subarray(LOADED_AT_PAGE * PAGE)
          .subarray(0, loaded.length)
          .equals(loaded),
      );
    });
  }

  test(`QEMU ${version}: pages above the hole below 4 GiB are found by their place in the block`, async () => {
    await using workshop = new Workshop(version);
    const machine = await workshop.start(smallMachine("memoryBackend: {kind: memfd}", "5242888KiB"), {
      paused: true,
    });
    const main = mainBlock(await memoryLayout(machine));
    assert.equal(main.source.kind, "file");
    if (main.source.kind !== "file") return;
    // A PC with so much memory has 3 GiB below the hole; what follows in the block is at 4 GiB for the guest.
    const file = openSync(main.source.path, "r+");
    writeSync(file, Buffer.alloc(PAGE, 0x47), 0, PAGE, main.source.fileOffset + 3 * GIB + MIB);
    writeSync(file, Buffer.alloc(PAGE, 0x48), 0, PAGE, main.source.fileOffset + main.usedBytes - PAGE);
    closeSync(file);
    const memory = new GuestMemory([main]);
    const page = Buffer.alloc(PAGE);
    memory.read("pc.ram", (3 * GIB + MIB) / PAGE, 1, page, 0);
    assert.deepEqual(page, await saved(machine, 4 * GIB + MIB, PAGE));
    assert.equal(page[0], 0x47);
    memory.read(0, main.usedBytes / PAGE - 1, 1, page, 0);
    assert.deepEqual(page, await saved(machine, main.usedBytes + GIB - PAGE, PAGE));
    assert.equal(page[0], 0x48);
    memory.close();
  });
}

for (const version of VERSIONS) {
  test(`QEMU ${version}: a machine that waits for its guest takes memory from outside, until it has some`, async () => {
    await using workshop = new Workshop(version);
    const machine = await workshop.start(smallMachine(), { incoming: "defer", paused: true });
    const main = mainBlock(await untouchedMemory(machine));
    const memory = new GuestMemory([main], "read and write");
    const pages = Buffer.alloc(3 * PAGE, 0x51);
    memory.write(0, 0x200, 2, pages, PAGE);
    memory.close();
    const expected = Buffer.concat([Buffer.alloc(PAGE), pages.subarray(PAGE), Buffer.alloc(PAGE)]);
    assert.deepEqual(await saved(machine, 0x1ff * PAGE, 4 * PAGE), expected);
    assert.ok((await untouchedMemory(machine)).every(({ block }) => block !== main.block));
  });
}

test("memory that is shared with others through a file is never taken for untouched", async () => {
  await using workshop = new Workshop(newest);
  const machine = await workshop.start(smallMachine("memoryBackend: {kind: memfd}"), {
    incoming: "defer",
    paused: true,
  });
  assert.ok((await untouchedMemory(machine)).every(({ block }) => block !== "pc.ram"));
});

test("a block's pages are read in a worker thread from plain data", async () => {
  await using workshop = new Workshop(newest);
  const machine = await workshop.start(smallMachine());
  const sources = await memoryLayout(machine);
  const bios = sources.find(({ block }) => block === "pc.bios");
  assert.ok(bios);
  const script = `
    import { parentPort, workerData } from "node:worker_threads";
    import { GuestMemory } from ${JSON.stringify(import.meta.resolve("../src/qemu/guest-memory.ts"))};
    const memory = new GuestMemory(workerData);
    const bytes = Buffer.alloc(${PAGE});
    memory.read("pc.bios", ${bios.usedBytes / PAGE - 1}, 1, bytes, 0);
    memory.close();
    parentPort.postMessage(bytes);`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`);
  const worker = new Worker(url, { workerData: sources });
  const [bytes] = await once(worker, "message");
  // The last 16 bytes of a PC's BIOS begin with a far jump, where a processor starts.
  assert.equal(bytes[PAGE - 16], 0xea);
  await worker.terminate();
});

test("reading outside a block, into too little room or after the machine's end fails with its reason", async () => {
  await using workshop = new Workshop(newest);
  const machine = await workshop.start(smallMachine());
  const sources = await memoryLayout(machine);
  const main = mainBlock(sources);
  const pages = main.usedBytes / PAGE;
  const memory = new GuestMemory([main]);
  const room = Buffer.alloc(2 * PAGE);
  assert.equal(memory.read(0, pages - 2, 2, room, 0), 2 * PAGE);
  const wrong = { code: "GODWIT_GUEST_MEMORY" };
  assert.throws(() => memory.read(0, pages - 1, 2, room, 0), wrong);
  assert.throws(() => memory.read(0, -1, 1, room, 0), wrong);
  assert.throws(() => memory.read(0, 0, 2, room, 1), wrong);
  assert.throws(() => memory.read(1, 0, 1, room, 0), wrong);
  assert.throws(() => memory.read("no.ram", 0, 1, room, 0), wrong);
  await machine.kill();
  assert.throws(() => memory.read(0, 0, 1, room, 0), wrong);
  assert.throws(() => new GuestMemory([main]), wrong);
  memory.close();
});

test("a block that is not mapped as a whole is refused with the address that is missing", async () => {
  await using workshop = new Workshop(newest);
  const machine = await workshop.start(smallMachine());
  const main = mainBlock(await memoryLayout(machine));
  if (main.source.kind !== "process") return assert.fail("the memory is private");
  const { hostAddress } = main.source;
  const { sources, unreadable } = surveyBlocks(
    [{ name: "pc.ram", pageSizeBytes: PAGE, usedBytes: 1024 * GIB, hostAddress }],
    machine.identity,
  );
  assert.deepEqual(sources, []);
  assert.match(unreadable[0]?.reason ?? "", /address 0x[0-9a-f]+ of the process is not mapped/);
});

test("without the permission to read another process the reason is told and nothing fails", async (context) => {
  if (process.getuid?.() !== 0) return context.skip("needs root, to become somebody else");
  await using workshop = new Workshop(newest);
  const machine = await workshop.start(smallMachine());
  const main = mainBlock(await memoryLayout(machine));
  if (main.source.kind !== "process") return assert.fail("the memory is private");
  const listing = [{ ...main, name: main.block, hostAddress: main.source.hostAddress }];
  const script = `
    import { surveyBlocks } from ${JSON.stringify(join(import.meta.dirname, "../src/qemu/memory-layout.ts"))};
    process.setgid(65534);
    process.setuid(65534);
    console.log(JSON.stringify(surveyBlocks(${JSON.stringify(listing)}, ${JSON.stringify(machine.identity)})));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout, "data");
  await once(child, "exit");
  const { sources, unreadable } = JSON.parse(String(line));
  assert.deepEqual(sources, []);
  assert.match(unreadable[0].reason, /EACCES|EPERM/);
});
