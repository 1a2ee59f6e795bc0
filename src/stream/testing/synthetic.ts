import fc from "fast-check";
import {
  beginRamPart,
  COMMAND,
  endRamSection,
  PAGE_BYTES,
  type RamBlock,
  ramStartBytes,
  writeCommand,
  writeDescription,
  writeEndOfStream,
  writeHeader,
  writePage,
  writePing,
  writeRamEnd,
  writeRamStart,
  writeZeroPage,
} from "../index.ts";
import type { Entry } from "./transcript.ts";
import { transcriber } from "./transcript.ts";

/** A stream, and what a reader must say of it. */
export interface Synthetic {
  readonly bytes: Buffer;
  readonly entries: readonly Entry[];
}

/** The configuration record of a machine type, without subsections. */
export function configurationRecord(machineType: string): Buffer {
  const record = Buffer.alloc(5 + machineType.length);
  record[0] = 7;
  record.writeUInt32BE(machineType.length, 1);
  record.write(machineType, 5, "latin1");
  return record;
}

/** Device state of one section "box" with the given bytes in a field, and its description. */
export function boxDevice(content: Buffer): { state: Buffer; json: Buffer } {
  const state = Buffer.concat([
    Buffer.from([4, 0, 0, 0, 9, 3]),
    Buffer.from("box"),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]),
    content,
    Buffer.from([0x7e, 0, 0, 0, 9]),
  ]);
  const fields = [{ name: "data", type: "buffer", size: content.length }];
  const devices = [{ name: "box", instance_id: 0, vmsd_name: "box", version: 1, fields }];
  return { state, json: Buffer.from(JSON.stringify({ page_size: PAGE_BYTES, devices })) };
}

const blockName = fc.string({
  minLength: 1,
  maxLength: 255,
  unit: fc.integer({ min: 1, max: 255 }).map((c) => String.fromCharCode(c)),
});

const blockList = fc.uniqueArray(blockName, { minLength: 1, maxLength: 6 }).chain((names) =>
  fc.tuple(
    ...names.map((name) =>
      fc.record({
        name: fc.constant(name),
        usedBytes: fc.integer({ min: 1, max: 2 ** 31 }).map((pages) => Math.min(pages, 2 ** 30) * PAGE_BYTES),
        pageSizeBytes: fc.constantFrom(PAGE_BYTES, PAGE_BYTES, 2 ** 21, 2 ** 30),
      }),
    ),
  ),
);

const item = fc.oneof(
  fc.record({ do: fc.constant("page" as const), block: fc.nat(5), page: fc.nat(), byte: fc.nat(255) }),
  fc.record({ do: fc.constant("page" as const), block: fc.nat(5), page: fc.nat(), byte: fc.nat(255) }),
  fc.record({ do: fc.constant("zero" as const), block: fc.nat(5), page: fc.nat(), byte: fc.constant(0) }),
  fc.record({ do: fc.constant("section" as const), block: fc.nat(), page: fc.nat(), byte: fc.nat() }),
  fc.record({ do: fc.constant("ping" as const), block: fc.nat(), page: fc.nat(2 ** 31), byte: fc.nat() }),
);

/** Whole pre-copy streams written by our writer, with the calls they must lead to. */
export const synthetic: fc.Arbitrary<Synthetic> = fc
  .tuple(
    blockList,
    fc.array(item, { maxLength: 40 }),
    fc.nat(2 ** 31),
    fc.string({ maxLength: 30, unit: "grapheme-ascii" }),
    fc.uint8Array({ maxLength: 5000 }),
  )
  .map(([blocks, items, sectionId, machineType, content]) => {
    const out = Buffer.alloc(64 * 1024 + ramStartBytes(6) + items.length * (PAGE_BYTES + 300));
    const entries: Entry[] = [];
    const expect = transcriber(entries);
    const totalBytes = blocks.reduce((sum, block) => sum + block.usedBytes, 0);
    const configuration = configurationRecord(machineType);
    let at = writeHeader(out, 0);
    at += configuration.copy(out, at);
    at = writeRamStart(out, at, sectionId, blocks);
    expect.header(3);
    expect.configuration(configuration);
    expect.ramSectionStart("start");
    expect.ramStart(sectionId, blocks, totalBytes);
    expect.ramSectionEnd("start");
    let last = -1;
    let open = false;
    const close = () => {
      if (!open) return;
      open = false;
      at = endRamSection(out, at, sectionId);
      expect.ramSectionEnd("part");
    };
    for (const item of items) {
      if (item.do === "section") close();
      else if (item.do === "ping") {
        close();
        at = writePing(out, at, item.page);
        const payload = Buffer.alloc(4);
        payload.writeUInt32BE(item.page);
        expect.command(COMMAND.ping, payload);
      } else {
        if (!open) {
          at = beginRamPart(out, at, sectionId);
          expect.ramSectionStart("part");
          open = true;
        }
        const block = item.block % blocks.length;
        const { name, usedBytes } = blocks[block] as RamBlock;
        const page = item.page % (usedBytes / PAGE_BYTES);
        const label = block === last ? undefined : name;
        last = block;
        if (item.do === "zero") {
          at = writeZeroPage(out, at, label, page, item.byte);
          expect.zeroPage(block, page, item.byte);
        } else {
          const bytes = Buffer.alloc(PAGE_BYTES, item.byte);
          at = writePage(out, at, label, page, bytes, 0);
          expect.page(block, page, bytes, 0);
        }
      }
    }
    close();
    at = writeCommand(out, at, COMMAND.switchoverStart);
    expect.command(COMMAND.switchoverStart, new Uint8Array(0));
    at = writeRamEnd(out, at, sectionId);
    expect.ramSectionStart("end");
    expect.ramSectionEnd("end");
    const { state, json } = boxDevice(Buffer.from(content));
    at += state.copy(out, at);
    at = writeEndOfStream(out, at);
    at = writeDescription(out, at, json);
    expect.deviceState(state);
    expect.description(json);
    expect.end();
    // What was wrong must be readable: not the bytes.
    return { bytes: out.subarray(0, at), entries, [fc.toStringMethod]: () => entries.join("\n") };
  });
