import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND,
  PAGE_BYTES,
  type RamBlock,
  readDiscard,
  readPackage,
  type StreamHandler,
  StreamReader,
} from "../../stream/index.ts";
import { boxDevice, configurationRecord } from "../../stream/testing/synthetic.ts";
import { type Entry, transcriber } from "../../stream/testing/transcript.ts";
import {
  composeDiscards,
  composeHead,
  composePackage,
  composeRemainderEnd,
  composeTail,
  PING_HEAD,
  PING_LOADED,
} from "./composed-stream.ts";

const configuration = configurationRecord("pc-i440fx-9.2");
const blocks: RamBlock[] = [
  { name: "/rom@etc/acpi/tables", usedBytes: 2 ** 17, pageSizeBytes: PAGE_BYTES },
  { name: "pc.ram", usedBytes: 2 ** 31, pageSizeBytes: 2 ** 21 },
  { name: "vga.vram", usedBytes: 2 ** 24, pageSizeBytes: PAGE_BYTES },
];

/** Commands as a reader finds them: number and payload. */
type Command = readonly [type: number, payload: Buffer];

function commandsOf(bytes: Uint8Array, reader: (handler: StreamHandler) => StreamReader): Command[] {
  const commands: Command[] = [];
  reader({ command: (type, payload) => commands.push([type, Buffer.from(payload)]) }).push(bytes);
  return commands;
}

/** A reader that has the head behind it. */
function behindHead(handler: StreamHandler): StreamReader {
  let quiet = true;
  const reader = new StreamReader({ ...handler, command: (...all) => quiet || handler.command?.(...all) });
  reader.push(composeHead(configuration, 2, blocks, true));
  quiet = false;
  return reader;
}

test("a head for pre-copy is header, configuration and RAM blocks without page sizes, and nothing else", () => {
  const actual: Entry[] = [];
  new StreamReader(transcriber(actual)).push(composeHead(configuration, 2, blocks));
  const expected: Entry[] = [];
  const expect = transcriber(expected);
  expect.header(3);
  expect.configuration(configuration);
  expect.ramSectionStart("start");
  const plain = blocks.map((block) => ({ ...block, pageSizeBytes: 4096 }));
  expect.ramStart(2, plain, 2 ** 17 + 2 ** 31 + 2 ** 24);
  expect.ramSectionEnd("start");
  assert.deepEqual(actual, expected);
});

test("a head for post-copy adds the return path, the advice and a discard of the largest block's first page", () => {
  const head = composeHead(configuration, 2, blocks, true);
  const actual: Entry[] = [];
  new StreamReader(transcriber(actual)).push(head);
  assert.deepEqual(
    actual.map((entry) => entry.split(" ")[0]),
    [
      "header",
      "configuration",
      "command",
      "command",
      "command",
      "ramSectionStart",
      "ramStart",
      "ramSectionEnd",
      "command",
    ],
  );
  const commands = commandsOf(head, (handler) => new StreamReader(handler));
  assert.deepEqual(
    commands.map(([type]) => type),
    [COMMAND.openReturnPath, COMMAND.ping, COMMAND.postcopyAdvise, COMMAND.postcopyRamDiscard],
  );
  assert.equal(commands[1]![1].readUInt32BE(), PING_HEAD);
  assert.deepEqual(
    [0, 8].map((at) => Number(commands[2]![1].readBigUInt64BE(at))),
    [PAGE_BYTES + 2 ** 21, PAGE_BYTES],
  );
  assert.deepEqual(readDiscard(commands[3]![1]), {
    block: "pc.ram",
    ranges: [{ firstPage: 0, pageCount: 512 }],
  });
});

test("a head has room for as many blocks as there may be, with the longest names", () => {
  const many = Array.from({ length: 200 }, (_, index) => ({
    name: String(index).padStart(255, "x"),
    usedBytes: 2 ** 30,
    pageSizeBytes: 2 ** 30,
  }));
  let seen: readonly RamBlock[] = [];
  new StreamReader({
    ramStart: (_, found) => {
      seen = found;
    },
  }).push(composeHead(configuration, 2, many, true));
  assert.deepEqual(seen, many);
});

for (const ranges of [1, 2048, 2049, 5000]) {
  test(`${ranges} discarded ranges are read back in commands that QEMU takes`, () => {
    const runs = Uint32Array.from(Array.from({ length: ranges }, (_, run) => [3 * run, 2]).flat());
    const commands = commandsOf(composeDiscards("vga.vram", runs), behindHead);
    assert.equal(commands.length, Math.ceil(ranges / 2048));
    const found: number[] = [];
    for (const [type, payload] of commands) {
      assert.equal(type, COMMAND.postcopyRamDiscard);
      const { block, ranges } = readDiscard(payload);
      assert.equal(block, "vga.vram");
      for (const { firstPage, pageCount } of ranges) found.push(firstPage, pageCount);
    }
    assert.deepEqual(Uint32Array.from(found), runs);
  });
}

test("without anything to discard there is no command", () => {
  assert.equal(composeDiscards("pc.ram", new Uint32Array()).length, 0);
});

test("the package listens, holds the device state, asks for a sign and runs", () => {
  const { state } = boxDevice(Buffer.alloc(70_000, 0x5a));
  const commands = commandsOf(composePackage(state), behindHead);
  assert.deepEqual(
    commands.map(([type]) => type),
    [COMMAND.packaged],
  );
  const { deviceState, ...around } = readPackage(commands[0]![1]);
  assert.deepEqual(around, { listens: true, ping: PING_LOADED, runs: true });
  assert.ok(state.equals(deviceState));
});

test("behind the package the last RAM section and the end make the stream complete", () => {
  const { state } = boxDevice(Buffer.alloc(100));
  const actual: Entry[] = [];
  const reader = behindHead(transcriber(actual));
  reader.push(composePackage(state));
  actual.length = 0;
  reader.push(composeRemainderEnd(2));
  reader.end();
  assert.deepEqual(actual, ["ramSectionStart end", "ramSectionEnd end", "end "]);
});

test("a tail is the last RAM section, the device state as it was, the end and a description of nothing", () => {
  const { state } = boxDevice(Buffer.alloc(100, 7));
  const tail = composeTail(2, state);
  const description = tail.subarray(-7);
  assert.deepEqual(description, Buffer.from("\x06\0\0\0\x02{}"));
  const actual: Entry[] = [];
  const reader = new StreamReader(transcriber(actual), { allowMissingDescription: true });
  reader.push(composeHead(configuration, 2, blocks));
  actual.length = 0;
  reader.push(tail.subarray(0, -description.length));
  reader.end();
  const expected: Entry[] = [];
  const expect = transcriber(expected);
  expect.ramSectionStart("end");
  expect.ramSectionEnd("end");
  expect.deviceState(state);
  expect.end();
  assert.deepEqual(actual, expected);
});
