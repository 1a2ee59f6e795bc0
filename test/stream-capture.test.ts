import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { qemuBuild, qemuVersions } from "../src/lab/toolchain.ts";
import {
  decodeDeviceSection,
  parseVmDescription,
  RamSectionWriter,
  ramSectionBytes,
  ramStartBytes,
  StreamReader,
  splitDeviceSections,
  type VmDescription,
  writeEndOfStream,
  writeHeader,
  writeRamEnd,
  writeRamStart,
} from "../src/stream/index.ts";
import { StreamMachine } from "./stream-machines.ts";

interface Devices {
  state: Uint8Array;
  vmdesc: VmDescription;
}

function devicesOf(stream: Buffer): Devices {
  const found: Partial<Devices> = {};
  const reader = new StreamReader({
    deviceState(bytes) {
      found.state = bytes;
    },
    description(json) {
      found.vmdesc = parseVmDescription(json);
    },
  });
  reader.push(stream);
  reader.end();
  return found as Devices;
}

/**
 * Composes another stream of the same contents, as the destination side does: sections of 64 pages, no commands, no
 * zero pages, no description.
 */
function recompose(stream: Buffer): Buffer {
  const pieces: Buffer[] = [];
  const small = Buffer.alloc(ramStartBytes(32));
  let writer: RamSectionWriter | undefined;
  let id = 0;
  const put = (write: (out: Buffer) => number) => pieces.push(Buffer.from(small.subarray(0, write(small))));
  const flush = () => {
    if (writer !== undefined && writer.pageCount > 0) pieces.push(Buffer.from(writer.finish()));
    writer?.begin();
  };
  const reader = new StreamReader({
    header: () => put((out) => writeHeader(out, 0)),
    configuration: (record) => pieces.push(Buffer.from(record)),
    ramStart(sectionId, blocks) {
      id = sectionId;
      put((out) => writeRamStart(out, 0, sectionId, blocks));
      writer = new RamSectionWriter(sectionId, blocks, Buffer.alloc(ramSectionBytes(64)));
      writer.begin();
    },
    page(block, page, content, offset) {
      writer!.page(block, page, Buffer.from(content.buffer, content.byteOffset, content.length), offset);
      if (writer!.pageCount === 64) flush();
    },
    deviceState(bytes) {
      flush();
      put((out) => writeRamEnd(out, 0, id));
      pieces.push(Buffer.from(bytes));
    },
    end: () => put((out) => writeEndOfStream(out, 0)),
  });
  for (let at = 0; at < stream.length; at += 10_007) reader.push(stream.subarray(at, at + 10_007));
  reader.end();
  return Buffer.concat(pieces);
}

for (const version of qemuVersions()) {
  test(`a stream of QEMU ${version} is read, taken apart, composed anew and loaded by a QEMU`, async () => {
    const { binary } = qemuBuild(version);
    await using source = await StreamMachine.start(binary);
    await source.runAWhile();
    await source.qmp.execute("stop");
    const memory = await source.saveMemory();
    const stream = await source.capture();

    const { state, vmdesc } = devicesOf(stream);
    const sections = splitDeviceSections(state, vmdesc);
    assert.ok(sections.length > 30);
    assert.ok(Buffer.concat(sections.map((section) => section.bytes)).equals(state));
    for (const section of sections) assert.equal(decodeDeviceSection(section).fields.length > 0, true);

    const composed = recompose(stream);
    assert.ok(composed.length < stream.length);
    await using destination = await StreamMachine.start(binary, "defer");
    const incoming = join(destination.folder, "incoming");
    await destination.qmp.execute("migrate-incoming", { uri: `unix:${incoming}` });
    const socket = connect(incoming);
    const closed = once(socket, "close");
    socket.resume().end(composed);
    await destination.migrationStatus("completed");
    await closed;
    assert.equal((await destination.qmp.execute("query-status")).status, "paused");
    assert.ok((await destination.saveMemory()).equals(memory));

    // What the destination writes in turn tells whether its devices are as the source's were.
    const again = devicesOf(await destination.capture());
    const there = splitDeviceSections(again.state, again.vmdesc);
    assert.deepEqual(
      there.map((section) => section.idstr),
      sections.map((section) => section.idstr),
    );
    const different = sections.filter((section, index) => {
      return !Buffer.from(section.body).equals(Buffer.from(there[index]!.body));
    });
    assert.deepEqual(
      different.map((section) => section.idstr),
      [],
    );

    await destination.qmp.execute("cont");
    assert.equal((await destination.qmp.execute("query-status")).status, "running");
  });
}
