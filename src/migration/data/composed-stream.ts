import {
  type RamBlock,
  ramStartBytes,
  writeDescription,
  writeEndOfStream,
  writeHeader,
  writeRamEnd,
  writeRamStart,
} from "../../stream/index.ts";

/** A description that describes nothing: QEMU waits for one, and drops it. */
const EMPTY_DESCRIPTION = Buffer.from("{}");

/** What QEMU's incoming stream begins with: header, the source's configuration record, the list of RAM blocks. */
export function composeHead(
  configuration: Uint8Array,
  sectionId: number,
  blocks: readonly RamBlock[],
): Buffer {
  const out = Buffer.alloc(8 + configuration.length + ramStartBytes(blocks.length));
  let at = writeHeader(out, 0);
  out.set(configuration, at);
  at += configuration.length;
  return out.subarray(0, writeRamStart(out, at, sectionId, blocks));
}

/** What ends it: the last RAM section, the device sections as the source's QEMU wrote them, end of stream. */
export function composeTail(sectionId: number, deviceState: Uint8Array): Buffer {
  const out = Buffer.alloc(64 + deviceState.length);
  let at = writeRamEnd(out, 0, sectionId);
  out.set(deviceState, at);
  at = writeEndOfStream(out, at + deviceState.length);
  return out.subarray(0, writeDescription(out, at, EMPTY_DESCRIPTION));
}
