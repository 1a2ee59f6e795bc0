// From the files themselves: the room's door brings much along, which costs each start 0.1 s and more.
import { writeDiscard, writeOpenReturnPath, writePing, writePostcopyAdvise } from "../../stream/commands.ts";
import type { RamBlock } from "../../stream/handler.ts";
import {
  PACKAGE_OVERHEAD_BYTES,
  ramStartBytes,
  writeDescription,
  writeEndOfStream,
  writeHeader,
  writePackage,
  writeRamEnd,
  writeRamStart,
} from "../../stream/writer.ts";

/** A description that describes nothing: QEMU waits for one, and drops it. */
const EMPTY_DESCRIPTION = Buffer.from("{}");

/** The numbers of the PINGs: QEMU answers the first when it has our head, the second with the devices loaded. */
export const PING_HEAD = 1;
export const PING_LOADED = 3;

/** Ranges in one discard command. QEMU writes 12 and reads as many as 64 KiB hold. */
const DISCARD_RANGES = 2048;

/**
 * What QEMU's incoming stream begins with: header, the source's configuration record, the list of RAM blocks. With
 * `postcopy` also the return path and the advice that post-copy may come, which leaves pre-copy possible, and at once
 * a discard of the first page: it has QEMU switch huge pages off, without which pages that were never sent would seem
 * to be there.
 */
export function composeHead(
  configuration: Uint8Array,
  sectionId: number,
  blocks: readonly RamBlock[],
  postcopy = false,
): Buffer {
  const out = Buffer.alloc(8 + configuration.length + ramStartBytes(blocks.length) + 512);
  let at = writeHeader(out, 0);
  out.set(configuration, at);
  at += configuration.length;
  if (!postcopy) {
    // QEMU reads a page size only where it was told that there may be post-copy.
    const plain = blocks.map((block) => ({ ...block, pageSizeBytes: 4096 }));
    return out.subarray(0, writeRamStart(out, at, sectionId, plain));
  }
  at = writeOpenReturnPath(out, at);
  at = writePing(out, at, PING_HEAD);
  at = writePostcopyAdvise(
    out,
    at,
    blocks.reduce((sizes, { pageSizeBytes }) => sizes | pageSizeBytes, 0),
  );
  at = writeRamStart(out, at, sectionId, blocks);
  const largest = blocks.reduce((most, block) => (block.usedBytes > most.usedBytes ? block : most));
  at = writeDiscard(out, at, largest.name, Uint32Array.of(0, largest.pageSizeBytes / 4096));
  return out.subarray(0, at);
}

/** Commands that have QEMU forget pages: pairs of first page and count of one RAM block. */
export function composeDiscards(block: string, runs: Uint32Array): Buffer {
  const ranges = runs.length / 2;
  const commands = Math.ceil(ranges / DISCARD_RANGES);
  const out = Buffer.alloc(commands * (8 + block.length) + ranges * 16);
  let at = 0;
  for (let from = 0; from < ranges; from += DISCARD_RANGES) {
    at = writeDiscard(out, at, block, runs, from, Math.min(ranges, from + DISCARD_RANGES));
  }
  return out.subarray(0, at);
}

/** The post-copy package: QEMU listens for pages in any order, loads the devices and prepares to run. */
export function composePackage(deviceState: Uint8Array): Buffer {
  const out = Buffer.alloc(PACKAGE_OVERHEAD_BYTES + deviceState.length);
  return out.subarray(0, writePackage(out, 0, { deviceState, ping: PING_LOADED }));
}

/** What ends a post-copy: the last RAM section and the end of the stream. */
export function composeRemainderEnd(sectionId: number): Buffer {
  const out = Buffer.alloc(64);
  return out.subarray(0, writeEndOfStream(out, writeRamEnd(out, 0, sectionId)));
}

/** What ends it: the last RAM section, the device sections as the source's QEMU wrote them, end of stream. */
export function composeTail(sectionId: number, deviceState: Uint8Array): Buffer {
  const out = Buffer.alloc(64 + deviceState.length);
  let at = writeRamEnd(out, 0, sectionId);
  out.set(deviceState, at);
  at = writeEndOfStream(out, at + deviceState.length);
  return out.subarray(0, writeDescription(out, at, EMPTY_DESCRIPTION));
}
