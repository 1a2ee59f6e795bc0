import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND,
  type DecodedStruct,
  decodeDeviceSection,
  fieldAt,
  parseVmDescription,
  type RamBlock,
  readDiscard,
  readPackage,
  StreamReader,
  splitDeviceSections,
  type VmDescription,
} from "./index.ts";
import { captured } from "./testing/captured.ts";
import { rewrite } from "./testing/rewrite.ts";
import { transcript } from "./testing/transcript.ts";

const DEVICES = [
  "virtio-net",
  "virtio-console",
  "virtio-blk",
  "virtio-rng",
  "xhci",
  "ahci",
  "e1000",
  "hda",
  "vga",
];

function devicesOf(bytes: Uint8Array): { state: Uint8Array; vmdesc: VmDescription } {
  let state: Uint8Array | undefined;
  let vmdesc: VmDescription | undefined;
  const reader = new StreamReader({
    deviceState(bytes) {
      state = bytes;
    },
    description(json) {
      vmdesc = parseVmDescription(json);
    },
  });
  reader.push(bytes);
  reader.end();
  assert.ok(state !== undefined && vmdesc !== undefined);
  return { state, vmdesc };
}

for (const kind of ["precopy.stream", "ignore-shared.stream", "postcopy.stream"] as const) {
  for (const { version, bytes } of captured(kind)) {
    test(`a ${kind} of QEMU ${version}, read and written again, says the same`, () => {
      const again = rewrite(bytes);
      assert.deepEqual(transcript(again), transcript(bytes));
      // At the switch to post-copy QEMU may repeat a block's name, which says nothing new.
      if (kind !== "postcopy.stream") assert.ok(again.equals(bytes), "byte by byte");
    });

    test(`a ${kind} of QEMU ${version} reads the same in any chunks`, () => {
      const whole = transcript(bytes);
      assert.equal(whole.at(-1), "end ");
      for (const sizes of [[1], [4095, 4097], [13, 4], [65536], [8, 4096 + 17, 1]]) {
        assert.deepEqual(transcript(bytes, sizes), whole);
      }
    });

    test(`a ${kind} of QEMU ${version} that breaks off anywhere is truncated`, () => {
      for (let length = 0; length < bytes.length; length += length < 600 ? 1 : 30_011) {
        assert.throws(() => transcript(bytes.subarray(0, length)), { code: "GODWIT_STREAM_TRUNCATED" });
      }
    });
  }
}

for (const { version, bytes } of captured("precopy.stream")) {
  test(`the device sections of QEMU ${version} meet their footers and add up to the device state`, () => {
    const { state, vmdesc } = devicesOf(bytes);
    const sections = splitDeviceSections(state, vmdesc);
    assert.ok(Buffer.concat(sections.map((section) => section.bytes)).equals(state));
    for (const name of DEVICES)
      assert.ok(
        sections.some((section) => section.idstr.endsWith(name)),
        name,
      );
  });

  test(`the fields of QEMU ${version} are decoded`, () => {
    const { state, vmdesc } = devicesOf(bytes);
    const decoded = new Map<string, DecodedStruct>(
      splitDeviceSections(state, vmdesc).map((section) => [section.idstr, decodeDeviceSection(section)]),
    );
    const cpu = decoded.get("cpu")!;
    const registers = fieldAt(cpu, "env.regs") as number[];
    assert.equal(registers.length, 16);
    assert.ok(registers[0]! < 0x9000, "the program counts in AX");
    assert.equal((fieldAt(cpu, "env.eip") as number) < 0x20, true);
    const runstate = fieldAt(decoded.get("globalstate")!, "runstate") as Buffer;
    assert.equal(runstate.toString("latin1").replace(/\0.*/, ""), "paused");
    const vga = [...decoded].find(([name]) => name.endsWith("/vga"))![1];
    const config = fieldAt(vga, "dev", "config[0]") as Buffer;
    assert.deepEqual([...config.subarray(0, 4)], [0x34, 0x12, 0x11, 0x11]);
  });
}

for (const { version, bytes } of captured("ignore-shared.stream")) {
  test(`the addresses of RAM blocks that QEMU ${version} adds with x-ignore-shared are read`, () => {
    let blocks: readonly RamBlock[] = [];
    const reader = new StreamReader({
      ramStart(_sectionId, list) {
        blocks = list;
      },
    });
    reader.push(bytes);
    assert.ok(blocks.length > 3);
    assert.ok(blocks.every((block) => block.address !== undefined && block.pageSizeBytes === 4096));
    assert.equal(blocks.find((block) => block.name === "pc.rom")?.address, 0xc0000);
  });
}

for (const { version, bytes } of captured("postcopy.stream")) {
  test(`commands and package of a post-copy of QEMU ${version} are understood`, () => {
    const types: number[] = [];
    const discarded: string[] = [];
    let found: ReturnType<typeof readPackage> | undefined;
    const reader = new StreamReader({
      command(type, payload) {
        types.push(type);
        if (type === COMMAND.postcopyRamDiscard) discarded.push(readDiscard(payload).block);
        if (type === COMMAND.packaged) found = readPackage(payload);
      },
    });
    reader.push(bytes);
    reader.end();
    assert.deepEqual(types.slice(0, 3), [COMMAND.openReturnPath, COMMAND.ping, COMMAND.postcopyAdvise]);
    assert.ok(discarded.includes("pc.ram"));
    assert.ok(found?.listens === true && found.runs);
    assert.equal(found.ping, 3);
    assert.equal(found.deviceState[0], 4);
    assert.equal(found.deviceState.at(-5), 0x7e);
  });
}
