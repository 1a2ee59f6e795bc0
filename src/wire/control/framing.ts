import { GodwitError } from "../../base/errors.ts";

/** The largest JSON header: a machine file and 1,024 RAM blocks stay far below. */
export const MAXIMUM_JSON_BYTES = 1024 * 1024;

/** The largest payload of one frame: device states go in chunks, so that a heartbeat is never long behind one. */
export const MAXIMUM_PAYLOAD_BYTES = 4 * 1024 * 1024;

const HEAD_BYTES = 10;
const MAXIMUM_FRAME_BYTES = HEAD_BYTES - 4 + MAXIMUM_JSON_BYTES + MAXIMUM_PAYLOAD_BYTES;

/** One frame as read: the buffers belong to the receiver of it. */
export interface Frame {
  readonly code: number;
  readonly json: Buffer;
  /** Empty when the frame has none. */
  readonly payload: Buffer;
}

/**
 * Builds a frame: be32 length of all that follows, be16 message code, be32 length of the JSON header, the
 * header, then the payload up to the frame's end.
 * @throws GodwitError `GODWIT_WIRE_TOO_LARGE`
 */
export function encodeFrame(code: number, json: string, payload?: Uint8Array): Buffer {
  const jsonBytes = Buffer.byteLength(json);
  const payloadBytes = payload?.length ?? 0;
  checkLengths(jsonBytes, payloadBytes);
  const frame = Buffer.allocUnsafe(HEAD_BYTES + jsonBytes + payloadBytes);
  frame.writeUInt32BE(frame.length - 4, 0);
  frame.writeUInt16BE(code, 4);
  frame.writeUInt32BE(jsonBytes, 6);
  frame.write(json, HEAD_BYTES, "utf8");
  if (payload !== undefined) frame.set(payload, HEAD_BYTES + jsonBytes);
  return frame;
}

/**
 * Cuts a byte stream of any chunking into frames. A frame's lengths are judged before its body is allocated; a
 * reader that threw takes nothing more.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headFilled = 0;
  #body: Buffer | undefined;
  #bodyFilled = 0;
  #jsonBytes = 0;

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
  }

  /** True when the stream may end here: no frame is half read. */
  get atBoundary(): boolean {
    return this.#headFilled === 0;
  }

  /** @throws GodwitError `GODWIT_WIRE_TOO_LARGE`, `GODWIT_WIRE_INVALID`, and whatever `onFrame` throws */
  push(chunk: Buffer): void {
    let position = 0;
    while (position < chunk.length) {
      if (this.#body === undefined) {
        const taken = chunk.copy(this.#head, this.#headFilled, position);
        position += taken;
        this.#headFilled += taken;
        if (this.#headFilled < HEAD_BYTES) return;
        this.#beginBody();
      }
      const body = this.#body as Buffer | undefined;
      if (body === undefined) continue;
      const taken = chunk.copy(body, this.#bodyFilled, position);
      position += taken;
      this.#bodyFilled += taken;
      if (this.#bodyFilled === body.length) this.#finish(body);
    }
  }

  #beginBody(): void {
    const frameBytes = this.#head.readUInt32BE(0);
    const jsonBytes = this.#head.readUInt32BE(6);
    const payloadBytes = frameBytes - (HEAD_BYTES - 4) - jsonBytes;
    if (frameBytes <= MAXIMUM_FRAME_BYTES && payloadBytes < 0) {
      throw new GodwitError(
        "GODWIT_WIRE_INVALID",
        `a frame of ${frameBytes} bytes can't hold its JSON header`,
      );
    }
    checkLengths(jsonBytes, payloadBytes);
    this.#jsonBytes = jsonBytes;
    this.#body = Buffer.allocUnsafe(jsonBytes + payloadBytes);
    this.#bodyFilled = 0;
    if (this.#body.length === 0) this.#finish(this.#body);
  }

  #finish(body: Buffer): void {
    this.#body = undefined;
    this.#headFilled = 0;
    this.#onFrame({
      code: this.#head.readUInt16BE(4),
      json: body.subarray(0, this.#jsonBytes),
      payload: body.subarray(this.#jsonBytes),
    });
  }
}

function checkLengths(jsonBytes: number, payloadBytes: number): void {
  if (jsonBytes > MAXIMUM_JSON_BYTES || payloadBytes > MAXIMUM_PAYLOAD_BYTES) {
    throw new GodwitError(
      "GODWIT_WIRE_TOO_LARGE",
      `a control frame with ${jsonBytes} bytes of JSON and ${payloadBytes} bytes of payload; ` +
        `the bounds are ${MAXIMUM_JSON_BYTES} and ${MAXIMUM_PAYLOAD_BYTES}`,
      { advice: "the peer isn't a Godwit agent of a compatible version, or is hostile" },
    );
  }
}
