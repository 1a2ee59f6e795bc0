import { putName, putUint16, putUint32, putUint64, readName, readUint64 } from "./bytes.ts";
import { streamError } from "./errors.ts";
import { PAGE_BYTES, RECORD } from "./format.ts";

/** Numbers of the commands in a stream (QEMU: `docs/devel/migration/postcopy.rst`). */
export const COMMAND = {
  openReturnPath: 1,
  ping: 2,
  postcopyAdvise: 3,
  postcopyListen: 4,
  postcopyRun: 5,
  postcopyRamDiscard: 6,
  packaged: 7,
  enableColo: 8,
  postcopyResume: 9,
  receivedBitmap: 10,
  switchoverStart: 11,
} as const;

/** Bytes of a command before its payload: 08, be16 type, be16 length. */
export const COMMAND_HEADER_BYTES = 5;
/** QEMU itself sends at most 12 ranges in a discard command. */
export const MAX_DISCARD_RANGES = 12;

/** Payload lengths: a number, a list of allowed ones, or undefined for any. */
const LENGTHS: Readonly<Record<number, readonly number[] | undefined>> = {
  [COMMAND.openReturnPath]: [0],
  [COMMAND.ping]: [4],
  [COMMAND.postcopyAdvise]: [0, 16],
  [COMMAND.postcopyListen]: [0],
  [COMMAND.postcopyRun]: [0],
  [COMMAND.postcopyRamDiscard]: undefined,
  [COMMAND.packaged]: [4],
  [COMMAND.enableColo]: [0],
  [COMMAND.postcopyResume]: [0],
  [COMMAND.receivedBitmap]: undefined,
  [COMMAND.switchoverStart]: [0],
};

/**
 * Checks a command's header.
 * @throws GodwitError `GODWIT_STREAM_UNKNOWN_COMMAND`, `GODWIT_STREAM_BAD_COMMAND`
 */
export function checkCommand(type: number, length: number, offset: number): void {
  if (!(type in LENGTHS)) throw streamError("GODWIT_STREAM_UNKNOWN_COMMAND", `command ${type}`, offset);
  const lengths = LENGTHS[type];
  if (lengths === undefined || lengths.includes(length)) return;
  throw streamError("GODWIT_STREAM_BAD_COMMAND", `command ${type} with ${length} bytes`, offset);
}

/** Pages of one RAM block that the destination is to forget. */
export interface DiscardRange {
  readonly firstPage: number;
  readonly pageCount: number;
}

/**
 * Reads the payload of a discard command.
 * @throws GodwitError `GODWIT_STREAM_BAD_COMMAND`
 */
export function readDiscard(payload: Uint8Array): { block: string; ranges: DiscardRange[] } {
  const nameBytes = payload[1] ?? 0;
  const first = 2 + nameBytes + 1;
  if (payload[0] !== 0 || payload[first - 1] !== 0 || (payload.length - first) % 16 !== 0) {
    throw streamError("GODWIT_STREAM_BAD_COMMAND", "a malformed discard command");
  }
  const ranges: DiscardRange[] = [];
  for (let at = first; at < payload.length; at += 16) {
    const firstPage = readUint64(payload, at) / PAGE_BYTES;
    const pageCount = readUint64(payload, at + 8) / PAGE_BYTES;
    if (!Number.isSafeInteger(firstPage) || !Number.isSafeInteger(pageCount)) {
      throw streamError("GODWIT_STREAM_BAD_COMMAND", "a discard command with parts of pages");
    }
    ranges.push({ firstPage, pageCount });
  }
  return { block: readName(payload, 2, nameBytes), ranges };
}

/** Writes a command with its payload. All writing functions return the offset behind what they wrote. */
export function writeCommand(out: Uint8Array, at: number, type: number, payload?: Uint8Array): number {
  out[at] = RECORD.command;
  at = putUint16(out, putUint16(out, at + 1, type), payload?.length ?? 0);
  if (payload !== undefined) out.set(payload, at);
  return at + (payload?.length ?? 0);
}

/** The destination is to answer on the same socket. */
export function writeOpenReturnPath(out: Uint8Array, at: number): number {
  return writeCommand(out, at, COMMAND.openReturnPath);
}

/** The destination answers PONG with the same number. */
export function writePing(out: Uint8Array, at: number, value: number): number {
  return putUint32(out, header(out, at, COMMAND.ping, 4), value);
}

/**
 * Before any RAM: there will be post-copy. `pageSizes` is the OR of the page sizes of all RAM blocks in bytes,
 * both sides' must be equal.
 */
export function writePostcopyAdvise(out: Uint8Array, at: number, pageSizes: number): number {
  return putUint64(out, putUint64(out, header(out, at, COMMAND.postcopyAdvise, 16), pageSizes), PAGE_BYTES);
}

/**
 * Forget pages that were sent and have changed since: runs of `pages` number `from` to `to` (exclusive), at most
 * {@link MAX_DISCARD_RANGES} of them. Before LISTEN only.
 */
export function writeDiscard(
  out: Uint8Array,
  at: number,
  block: string,
  runs: Uint32Array,
  from = 0,
  to: number = runs.length >>> 1,
): number {
  at = header(out, at, COMMAND.postcopyRamDiscard, 3 + block.length + 16 * (to - from));
  out[at] = 0;
  at = putName(out, at + 1, block);
  out[at++] = 0;
  for (let run = from; run < to; run++) {
    at = putUint64(out, at, runs[2 * run]! * PAGE_BYTES);
    at = putUint64(out, at, runs[2 * run + 1]! * PAGE_BYTES);
  }
  return at;
}

/** From here on pages may come in any order, each once. */
export function writePostcopyListen(out: Uint8Array, at: number): number {
  return writeCommand(out, at, COMMAND.postcopyListen);
}

/** The destination starts the guest, or only prepares when it was started with `-S`. */
export function writePostcopyRun(out: Uint8Array, at: number): number {
  return writeCommand(out, at, COMMAND.postcopyRun);
}

/** After a cut: ask which pages of the block have arrived. */
export function writeReceivedBitmapRequest(out: Uint8Array, at: number, block: string): number {
  return putName(out, header(out, at, COMMAND.receivedBitmap, 1 + block.length), block);
}

/** After a cut: go on with post-copy. */
export function writePostcopyResume(out: Uint8Array, at: number): number {
  return writeCommand(out, at, COMMAND.postcopyResume);
}

function header(out: Uint8Array, at: number, type: number, length: number): number {
  out[at] = RECORD.command;
  return putUint16(out, putUint16(out, at + 1, type), length);
}
