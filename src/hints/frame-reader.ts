import { badAnswer, FRAME_HEAD_BYTES, FRAME_MAGIC, type Frame, MOST_PAYLOAD_BYTES } from "./protocol.ts";

/**
 * Bytes that may stand before our first answer: what an earlier connection left in the guest's and QEMU's buffers,
 * which is less than the longest answer.
 */
const MOST_FOREIGN_BYTES = MOST_PAYLOAD_BYTES + FRAME_HEAD_BYTES;

/**
 * Makes frames of the bytes that come from a guest, which may send anything. Before the first frame of this session
 * whatever else comes is passed over, up to a bound; after it everything must be a frame of it.
 */
export class FrameReader {
  readonly #session: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #foreignBytes = 0;
  #joined = false;

  constructor(session: number) {
    this.#session = session;
  }

  /** Takes bytes. @returns the frames that are whole by now @throws GodwitError `GODWIT_HELPER_ANSWER` */
  push(bytes: Buffer): Frame[] {
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
    const frames: Frame[] = [];
    for (let frame = this.#next(); frame !== null; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next(): Frame | null {
    if (!this.#joined && !this.#seek()) return null;
    if (this.#bytes < FRAME_HEAD_BYTES) return null;
    const head = this.#peek(FRAME_HEAD_BYTES);
    if (!this.#begins(head, 0)) throw badAnswer("what comes is no frame of this session");
    const length = head.readUInt32LE(16);
    if (length > MOST_PAYLOAD_BYTES) throw badAnswer(`a payload of ${length} bytes`);
    if (this.#bytes < FRAME_HEAD_BYTES + length) return null;
    const whole = this.#peek(FRAME_HEAD_BYTES + length);
    this.#drop(whole.length);
    return {
      type: head.readUInt16LE(4),
      version: head.readUInt16LE(6),
      session: this.#session,
      sequence: head.readUInt32LE(12),
      payload: whole.subarray(FRAME_HEAD_BYTES),
    };
  }

  /** Passes over what came before this session's first frame. */
  #seek(): boolean {
    const all = this.#peek(this.#bytes);
    let at = 0;
    while (at + FRAME_HEAD_BYTES <= all.length && !this.#begins(all, at)) at += 1;
    this.#foreignBytes += at;
    if (this.#foreignBytes > MOST_FOREIGN_BYTES)
      throw badAnswer(`${this.#foreignBytes} bytes of something else`);
    this.#drop(at);
    this.#joined = at + FRAME_HEAD_BYTES <= all.length;
    return this.#joined;
  }

  #begins(bytes: Buffer, at: number): boolean {
    return bytes.readUInt32LE(at) === FRAME_MAGIC && bytes.readUInt32LE(at + 8) === this.#session;
  }

  /** The first bytes of what waits, in one piece. */
  #peek(bytes: number): Buffer {
    if (this.#chunks.length > 1 && (this.#chunks[0]?.length ?? 0) < bytes) {
      this.#chunks = [Buffer.concat(this.#chunks)];
    }
    return (this.#chunks[0] ?? Buffer.alloc(0)).subarray(0, bytes);
  }

  #drop(bytes: number): void {
    if (bytes === 0) return;
    this.#bytes -= bytes;
    const [first = Buffer.alloc(0), ...rest] = this.#chunks;
    this.#chunks = first.length === bytes ? rest : [first.subarray(bytes), ...rest];
  }
}
