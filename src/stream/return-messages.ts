import { putName, putUint16, putUint32, putUint64 } from "./bytes.ts";
import { PAGE_BYTES } from "./format.ts";

/** Numbers of the messages that a destination QEMU sends back (QEMU: `docs/devel/migration/postcopy.rst`). */
export const RETURN_MESSAGE = {
  shut: 1,
  pong: 2,
  requestPagesNamed: 3,
  requestPages: 4,
  receivedBitmap: 5,
  resumeAck: 6,
  switchoverAck: 7,
} as const;

/** What a destination QEMU says. `block` is undefined where it means the block of the request before. */
export type ReturnMessage =
  /** It has finished; `status` 0: all is well. */
  | { readonly type: "shut"; readonly status: number }
  /** The answer to PING. */
  | { readonly type: "pong"; readonly value: number }
  /** The guest waits for these pages. */
  | {
      readonly type: "request";
      readonly block: string | undefined;
      readonly firstPage: number;
      readonly pageCount: number;
    }
  /** Which pages of a block have arrived: 1 bit a page, the lowest bit of the first byte first. */
  | { readonly type: "bitmap"; readonly block: string; readonly bits: Uint8Array }
  /** Post-copy goes on after a cut; QEMU's magic number for it is 1. */
  | { readonly type: "resumeAck"; readonly value: number }
  /** With the capability `switchover-ack`: the destination is ready for the switchover. */
  | { readonly type: "switchoverAck" };

/** Bytes before the payload: be16 type, be16 length. */
export const RETURN_HEADER_BYTES = 4;
/** What follows a bitmap: two be32. */
export const BITMAP_END = [0x01234567, 0x89abcdef] as const;

/** A message as bytes: for tests, and for whoever plays the destination. */
export function encodeReturnMessage(message: ReturnMessage): Buffer {
  const { type } = message;
  if (type === "shut") return short(RETURN_MESSAGE.shut, message.status);
  if (type === "pong") return short(RETURN_MESSAGE.pong, message.value);
  if (type === "resumeAck") return short(RETURN_MESSAGE.resumeAck, message.value);
  if (type === "switchoverAck") return Buffer.from([0, RETURN_MESSAGE.switchoverAck, 0, 0]);
  if (type === "request") {
    const named = message.block !== undefined;
    const out = Buffer.alloc(RETURN_HEADER_BYTES + 12 + (named ? 1 + message.block.length : 0));
    const kind = named ? RETURN_MESSAGE.requestPagesNamed : RETURN_MESSAGE.requestPages;
    let at = putUint16(out, putUint16(out, 0, kind), out.length - RETURN_HEADER_BYTES);
    at = putUint64(out, at, message.firstPage * PAGE_BYTES);
    at = putUint32(out, at, message.pageCount * PAGE_BYTES);
    if (named) putName(out, at, message.block);
    return out;
  }
  const out = Buffer.alloc(RETURN_HEADER_BYTES + 1 + message.block.length + 8 + message.bits.length + 8);
  let at = putUint16(out, putUint16(out, 0, RETURN_MESSAGE.receivedBitmap), 1 + message.block.length);
  at = putUint64(out, putName(out, at, message.block), message.bits.length);
  out.set(message.bits, at);
  putUint32(out, putUint32(out, at + message.bits.length, BITMAP_END[0]), BITMAP_END[1]);
  return out;
}

function short(type: number, value: number): Buffer {
  const out = Buffer.alloc(RETURN_HEADER_BYTES + 4);
  putUint32(out, putUint16(out, putUint16(out, 0, type), 4), value);
  return out;
}
