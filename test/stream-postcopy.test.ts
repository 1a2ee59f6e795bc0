import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { qemuBuild, qemuVersions } from "../src/lab/toolchain.ts";
import { runsOf } from "../src/pages/index.ts";
import {
  PACKAGE_OVERHEAD_BYTES,
  PAGE_BYTES,
  type RamBlock,
  RamSectionWriter,
  type ReturnMessage,
  ReturnPathReader,
  ramSectionBytes,
  ramStartBytes,
  StreamReader,
  writeDiscard,
  writeEndOfStream,
  writeHeader,
  writeOpenReturnPath,
  writePackage,
  writePing,
  writePostcopyAdvise,
  writeRamEnd,
  writeRamStart,
} from "../src/stream/index.ts";
import { StreamMachine, until } from "./stream-machines.ts";

interface Parts {
  configuration: Buffer;
  sectionId: number;
  blocks: readonly RamBlock[];
  /** Contents by block and page; zero pages are missing. */
  pages: Map<number, Buffer>[];
  deviceState: Buffer;
}

function partsOf(stream: Buffer): Parts {
  const parts: Parts = {
    configuration: Buffer.alloc(0),
    sectionId: 0,
    blocks: [],
    pages: [],
    deviceState: Buffer.alloc(0),
  };
  const reader = new StreamReader({
    configuration(record) {
      parts.configuration = Buffer.from(record);
    },
    ramStart(sectionId, blocks) {
      Object.assign(parts, { sectionId, blocks, pages: blocks.map(() => new Map()) });
    },
    page(block, page, content, offset) {
      parts.pages[block]!.set(page, Buffer.from(content.subarray(offset, offset + PAGE_BYTES)));
    },
    zeroPage(block, page) {
      parts.pages[block]!.delete(page);
    },
    deviceState(bytes) {
      parts.deviceState = Buffer.from(bytes);
    },
  });
  reader.push(stream);
  reader.end();
  return parts;
}

/** Plays the source of a post-copy with nothing but our writers: every page on request or at the end, none before. */
class PostcopySource {
  readonly #socket: Socket;
  readonly #parts: Parts;
  readonly #writer: RamSectionWriter;
  readonly #sent = new Set<string>();
  readonly #messages: ReturnMessage[] = [];
  #lastBlock = 0;
  requests = 0;

  constructor(socket: Socket, parts: Parts) {
    this.#socket = socket;
    this.#parts = parts;
    this.#writer = new RamSectionWriter(parts.sectionId, parts.blocks, Buffer.alloc(ramSectionBytes(1)));
    const answers = new ReturnPathReader((message) => this.#answer(message));
    socket.on("data", (bytes: Buffer) => answers.push(bytes));
  }

  prepare(): void {
    const { configuration, sectionId, blocks } = this.#parts;
    const out = Buffer.alloc(1024 + configuration.length + ramStartBytes(blocks.length));
    let at = writeHeader(out, 0);
    at += configuration.copy(out, at);
    at = writePing(out, writeOpenReturnPath(out, at), 1);
    at = writeRamStart(out, writePostcopyAdvise(out, at, PAGE_BYTES), sectionId, blocks);
    at = writeDiscard(out, at, blocks[0]!.name, runsOf([0]));
    this.#socket.write(out.subarray(0, writePing(out, at, 2)));
  }

  run(): void {
    const { deviceState } = this.#parts;
    const out = Buffer.alloc(deviceState.length + PACKAGE_OVERHEAD_BYTES);
    this.#socket.write(out.subarray(0, writePackage(out, 0, { deviceState, ping: 3 })));
  }

  pushRest(): void {
    for (const [block, { usedBytes }] of this.#parts.blocks.entries()) {
      for (let page = 0; page < usedBytes / PAGE_BYTES; page++) this.#send(block, page);
    }
    const out = Buffer.alloc(64);
    this.#socket.write(out.subarray(0, writeEndOfStream(out, writeRamEnd(out, 0, this.#parts.sectionId))));
  }

  async received(type: ReturnMessage["type"], value: number): Promise<void> {
    const isIt = (message: ReturnMessage) =>
      message.type === type &&
      ("value" in message ? message.value : "status" in message && message.status) === value;
    await until(`QEMU answers ${type} ${value}`, () => this.#messages.some(isIt));
  }

  #answer(message: ReturnMessage): void {
    if (message.type !== "request") {
      this.#messages.push(message);
      return;
    }
    this.requests++;
    const { blocks } = this.#parts;
    if (message.block !== undefined) this.#lastBlock = blocks.findIndex(({ name }) => name === message.block);
    for (let page = 0; page < message.pageCount; page++)
      this.#send(this.#lastBlock, message.firstPage + page);
  }

  #send(block: number, page: number): void {
    const key = `${block} ${page}`;
    if (this.#sent.has(key)) return;
    this.#sent.add(key);
    this.#writer.begin();
    const content = this.#parts.pages[block]!.get(page);
    if (content === undefined) this.#writer.zero(block, page);
    else this.#writer.page(block, page, content, 0);
    this.#socket.write(Buffer.from(this.#writer.finish()));
  }
}

for (const version of qemuVersions()) {
  test(`a post-copy written by our writers alone is taken by QEMU ${version}`, async (context) => {
    const { binary } = qemuBuild(version);
    await using source = await StreamMachine.start(binary);
    await source.runAWhile();
    await source.qmp.execute("stop");
    const memory = await source.saveMemory();
    const parts = partsOf(await source.capture());

    await using destination = await StreamMachine.start(binary, "defer");
    try {
      await destination.capabilities("postcopy-ram");
    } catch (error) {
      context.skip(`no user-fault support here: ${(error as Error).message}`);
      return;
    }
    const incoming = join(destination.folder, "incoming");
    await destination.qmp.execute("migrate-incoming", { uri: `unix:${incoming}` });
    const socket = connect(incoming);
    await once(socket, "connect");
    const closed = once(socket, "close");
    const ours = new PostcopySource(socket, parts);
    ours.prepare();
    await ours.received("pong", 1);
    await ours.received("pong", 2);
    ours.run();
    await ours.received("pong", 3);
    await destination.runState("paused");
    // Reading all memory asks for every page of it.
    assert.ok((await destination.saveMemory()).equals(memory));
    assert.ok(ours.requests > 100);
    ours.pushRest();
    await ours.received("shut", 0);
    socket.end();
    await closed;
    await destination.migrationStatus("completed");
    assert.ok((await destination.saveMemory()).equals(memory));
  });
}
