import { GodwitError } from "../base/errors.ts";
import { asBuffer, readUint32 } from "./bytes.ts";
import { hasByteZero } from "./description-json.ts";
import { walkDeviceSections } from "./device-walk.ts";
import { streamError } from "./errors.ts";
import { RECORD } from "./format.ts";
import { Gather } from "./gather.ts";
import type { StreamLimits } from "./limits.ts";
import type { VmDescription } from "./vmdesc.ts";

const MARK = Uint8Array.of(RECORD.endOfStream, RECORD.description);
const MARK_BYTES = 6;
/** Places that look like a description. Device state holds few of them by chance: more is an attack on our time. */
const MAX_CANDIDATES = 64;

/** The end of a stream, taken apart. */
export interface TailParts {
  readonly deviceState: Uint8Array;
  /** The JSON text; undefined where the stream has none. */
  readonly description: Uint8Array | undefined;
}

/**
 * The end of a pre-copy stream: device sections, the end-of-stream byte, the description. Sections have no length,
 * and their bytes are the guest's to choose, so the end-of-stream byte can't be recognized by itself: it is where
 * a description begins which, applied from the beginning, leads from footer to footer to just that byte.
 */
export class DeviceTail {
  readonly #gather: Gather;
  readonly #limits: StreamLimits;
  readonly #offset: number;
  readonly #unchecked: (deviceState: Uint8Array) => void;
  readonly #candidates: number[] = [];
  #candidateCount = 0;
  #scanned = 0;

  /**
   * @param offset where it begins in the stream
   * @param unchecked called before a description that ends with what has come is checked, if no byte 0 tells at once
   * that it is none
   */
  constructor(limits: StreamLimits, offset: number, unchecked: (deviceState: Uint8Array) => void = () => {}) {
    this.#limits = limits;
    this.#offset = offset;
    this.#unchecked = unchecked;
    const most = limits.deviceStateBytes + MARK_BYTES + limits.descriptionBytes;
    this.#gather = new Gather("the device state", most);
  }

  /**
   * Takes the next bytes.
   * @returns the parts once they are complete
   */
  push(bytes: Uint8Array, from: number, to: number): TailParts | undefined {
    this.#gather.append(bytes, from, to, this.#offset);
    const tail = this.#gather.view();
    this.#scan(tail);
    for (let index = 0; index < this.#candidates.length; ) {
      const place = this.#candidates[index]!;
      const end = place + MARK_BYTES + readUint32(tail, place + 2);
      if (end > tail.length) {
        index++;
        continue;
      }
      const description = tail.subarray(place + MARK_BYTES, end);
      const deviceState = tail.subarray(0, place);
      // This comes first, so that a look at many beginnings of one text stays cheap.
      const isText = !hasByteZero(description);
      if (isText && end === tail.length) this.#unchecked(deviceState);
      const parts = isText ? attempt(deviceState, description) : undefined;
      if (parts === undefined) this.#candidates.splice(index, 1);
      else if (end < tail.length) {
        throw streamError("GODWIT_STREAM_ENDED", "bytes behind its end", this.#offset + end);
      } else return parts;
    }
    if (this.#candidates.length === 0 && this.#scanned > this.#limits.deviceStateBytes) {
      const most = this.#limits.deviceStateBytes;
      throw streamError("GODWIT_STREAM_OVERSIZED", `the device state exceeds ${most} bytes`, this.#offset);
    }
    return undefined;
  }

  /**
   * The stream is over and no description was found.
   * @param allowed whether a stream without a description is fine; it can't be told from a truncated one
   */
  finish(allowed: boolean): TailParts {
    const tail = this.#gather.view();
    const last = tail.length - 1;
    if (!allowed || tail[last] !== RECORD.endOfStream) {
      throw streamError(
        "GODWIT_STREAM_TRUNCATED",
        "it ends within the device state",
        this.#offset + tail.length,
      );
    }
    return { deviceState: tail.subarray(0, last), description: undefined };
  }

  #scan(tail: Uint8Array): void {
    const buffer = asBuffer(tail);
    for (;;) {
      const place = buffer.indexOf(MARK, this.#scanned);
      if (place < 0) {
        this.#scanned = Math.max(this.#scanned, tail.length - 1);
        return;
      }
      if (place + MARK_BYTES + 1 > tail.length) {
        this.#scanned = place;
        return;
      }
      this.#scanned = place + 1;
      const fits =
        place <= this.#limits.deviceStateBytes &&
        readUint32(tail, place + 2) <= this.#limits.descriptionBytes;
      if (!fits || tail[place + MARK_BYTES] !== 0x7b) continue;
      if (++this.#candidateCount > MAX_CANDIDATES) {
        throw streamError("GODWIT_STREAM_BAD_DEVICES", "its end can't be told", this.#offset + place);
      }
      this.#candidates.push(place);
    }
  }
}

/** The guest stands still meanwhile: what V8 and the walk bound by themselves is not gone through byte by byte before. */
function attempt(deviceState: Uint8Array, description: Uint8Array): TailParts | undefined {
  try {
    walkDeviceSections(deviceState, JSON.parse(asBuffer(description).toString("utf8")) as VmDescription);
  } catch (error) {
    if (error instanceof GodwitError || error instanceof SyntaxError) return undefined;
    throw error;
  }
  return { deviceState, description };
}
