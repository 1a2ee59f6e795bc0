import { asBuffer, readName, readUint16, readUint32, readUint64 } from "./bytes.ts";
import { streamError } from "./errors.ts";
import { PAGE_BYTES } from "./format.ts";
import { Gather } from "./gather.ts";
import { MAX_BLOCK_BYTES } from "./limits.ts";
import {
  BITMAP_END,
  RETURN_HEADER_BYTES as HEADER_BYTES,
  RETURN_MESSAGE,
  type ReturnMessage,
} from "./return-messages.ts";

/** A message without a bitmap names at most one block; nothing else in it is long. */
const MAX_MESSAGE_BYTES = 512;
const MAX_BITMAP_BYTES = MAX_BLOCK_BYTES / PAGE_BYTES / 8;

/**
 * Reads return-path messages in any chunking. Keeps at most one message; a bitmap's memory grows with what has
 * arrived.
 */
export class ReturnPathReader {
  readonly #onMessage: (message: ReturnMessage) => void;
  /** An incomplete message, and how many of its bytes are needed to come further. */
  #pending: Gather | undefined;
  #need = HEADER_BYTES;
  #position = 0;

  constructor(onMessage: (message: ReturnMessage) => void) {
    this.#onMessage = onMessage;
  }

  /**
   * Reads the next bytes and keeps none of them.
   * @throws GodwitError `GODWIT_STREAM_BAD_MESSAGE`, `GODWIT_STREAM_OVERSIZED`
   */
  push(bytes: Uint8Array): void {
    let pos = 0;
    while (pos < bytes.length) {
      if (this.#pending === undefined) {
        const used = this.#message(asBuffer(bytes.subarray(pos)));
        pos += used;
        this.#position += used;
        if (used === 0)
          this.#pending = new Gather("return path: a message", MAX_MESSAGE_BYTES + MAX_BITMAP_BYTES);
        continue;
      }
      const to = Math.min(bytes.length, pos + this.#need - this.#pending.length);
      this.#pending.append(bytes, pos, to, this.#position);
      pos = to;
      if (this.#pending.length < this.#need) return;
      const used = this.#message(asBuffer(this.#pending.view()));
      this.#position += used;
      if (used > 0) this.#pending = undefined;
    }
  }

  /** Whether a message is incomplete: then the end of the connection is a cut. */
  get isAmidMessage(): boolean {
    return this.#pending !== undefined;
  }

  /** @returns the bytes of the first message, 0 if it is incomplete */
  #message(bytes: Buffer): number {
    if (bytes.length < HEADER_BYTES) return this.#wait(HEADER_BYTES);
    const type = readUint16(bytes, 0);
    const length = readUint16(bytes, 2);
    if (length > MAX_MESSAGE_BYTES) throw this.#bad(`message ${type} of ${length} bytes`);
    const end = HEADER_BYTES + length;
    if (bytes.length < end) return this.#wait(end);
    if (type === RETURN_MESSAGE.receivedBitmap) return this.#bitmap(bytes, length);
    this.#onMessage(this.#short(type, bytes, length));
    return end;
  }

  #short(type: number, bytes: Buffer, length: number): ReturnMessage {
    const at = HEADER_BYTES;
    switch (type) {
      case RETURN_MESSAGE.shut:
        this.#expect(type, length, 4);
        return { type: "shut", status: readUint32(bytes, at) };
      case RETURN_MESSAGE.pong:
        this.#expect(type, length, 4);
        return { type: "pong", value: readUint32(bytes, at) };
      case RETURN_MESSAGE.resumeAck:
        this.#expect(type, length, 4);
        return { type: "resumeAck", value: readUint32(bytes, at) };
      case RETURN_MESSAGE.switchoverAck:
        this.#expect(type, length, 0);
        return { type: "switchoverAck" };
      case RETURN_MESSAGE.requestPages:
        this.#expect(type, length, 12);
        return this.#request(bytes, undefined);
      case RETURN_MESSAGE.requestPagesNamed:
        if (length < 13) throw this.#bad("a short page request");
        this.#expect(type, length, 13 + bytes[at + 12]!);
        return this.#request(bytes, readName(bytes, at + 13, length - 13));
      default:
        throw this.#bad(`unknown message ${type}`);
    }
  }

  #request(bytes: Buffer, block: string | undefined): ReturnMessage {
    const firstPage = readUint64(bytes, HEADER_BYTES) / PAGE_BYTES;
    const pageCount = readUint32(bytes, HEADER_BYTES + 8) / PAGE_BYTES;
    if (!Number.isSafeInteger(firstPage) || !Number.isInteger(pageCount) || pageCount === 0) {
      throw this.#bad("a request for parts of pages");
    }
    return { type: "request", block, firstPage, pageCount };
  }

  #bitmap(bytes: Buffer, length: number): number {
    this.#expect(RETURN_MESSAGE.receivedBitmap, length, 1 + bytes[HEADER_BYTES]!);
    const at = HEADER_BYTES + length;
    if (bytes.length < at + 8) return this.#wait(at + 8);
    const size = readUint64(bytes, at);
    if (size > MAX_BITMAP_BYTES) {
      throw streamError("GODWIT_STREAM_OVERSIZED", `return path: a bitmap of ${size} bytes`, this.#position);
    }
    const end = at + 8 + size;
    if (bytes.length < end + 8) return this.#wait(end + 8);
    if (readUint32(bytes, end) !== BITMAP_END[0] || readUint32(bytes, end + 4) !== BITMAP_END[1]) {
      throw this.#bad("a bitmap without its end mark");
    }
    const block = readName(bytes, HEADER_BYTES + 1, length - 1);
    this.#onMessage({ type: "bitmap", block, bits: new Uint8Array(bytes.subarray(at + 8, end)) });
    return end + 8;
  }

  #wait(need: number): 0 {
    this.#need = need;
    return 0;
  }

  #expect(type: number, length: number, expected: number): void {
    if (length !== expected) throw this.#bad(`message ${type} of ${length} bytes`);
  }

  #bad(what: string): Error {
    return streamError("GODWIT_STREAM_BAD_MESSAGE", `return path: ${what}`, this.#position);
  }
}
