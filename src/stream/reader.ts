import { readName, readUint16, readUint32 } from "./bytes.ts";
import { COMMAND, COMMAND_HEADER_BYTES, checkCommand } from "./commands.ts";
import { ConfigurationParser } from "./configuration.ts";
import { DeviceTail, type TailParts } from "./device-tail.ts";
import { streamError } from "./errors.ts";
import { MAGIC, RAM_SECTION, RECORD, VERSION } from "./format.ts";
import { Gather } from "./gather.ts";
import type { RamSectionKind, StreamHandler, StreamReaderOptions } from "./handler.ts";
import type { ItemParser } from "./item-parser.ts";
import { DEFAULT_LIMITS, type StreamLimits } from "./limits.ts";
import { readPackage } from "./package.ts";
import { RamParser } from "./ram-parser.ts";
import { parseVmDescription } from "./vmdesc.ts";

/** Holds the largest item that may straddle chunks: a command with 65,535 bytes of payload. */
const CARRY_BYTES = 66 * 1024;

/**
 * Reads QEMU's migration stream as it comes: `push` any chunks, then `end`. It allocates nothing per page, and
 * keeps no more than the item that straddles two chunks, the device state and its description (all bounded).
 * Whatever is wrong is a GodwitError `GODWIT_STREAM_…` naming the byte offset; after it the reader is unusable.
 */
export class StreamReader {
  readonly #handler: StreamHandler;
  readonly #limits: StreamLimits;
  readonly #allowMissingDescription: boolean;
  readonly #ram: RamParser;
  readonly #configuration = new ConfigurationParser();
  /** Who reads the next bytes; undefined: they begin a top-level record. */
  #parser: ItemParser | undefined;
  #package: { readonly bytes: Gather; left: number } | undefined;
  #tail: DeviceTail | undefined;
  /** The pieces of an item that straddles chunks, and how much of it is there. */
  readonly #carry = new Uint8Array(CARRY_BYTES);
  #carried = 0;
  /** Bytes of the incomplete item needed to come further; 0 when none is incomplete. */
  #need = 0;
  /** Bytes pushed before the current chunk. */
  #pushed = 0;
  #recordOffset = 0;
  #section: RamSectionKind | undefined;
  #started = false;
  #configured = false;
  #running = false;
  #ended = false;
  #failure: unknown;

  constructor(handler: StreamHandler, options: StreamReaderOptions = {}) {
    this.#handler = handler;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#allowMissingDescription = options.allowMissingDescription ?? false;
    this.#ram = new RamParser(handler, options, () =>
      this.#configuration.capabilities.includes("x-ignore-shared"),
    );
  }

  /** Whether the stream is complete. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Where the record lies whose handler is being called (not for pages): bytes from the stream's start. */
  get recordOffset(): number {
    return this.#recordOffset;
  }

  /**
   * Reads the next bytes, and keeps none of them.
   * @throws GodwitError `GODWIT_STREAM_…`, and whatever the handler throws
   */
  push(bytes: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#push(bytes);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
    this.#pushed += bytes.length;
  }

  /**
   * The source of bytes has ended.
   * @throws GodwitError `GODWIT_STREAM_TRUNCATED` if the stream has not
   */
  end(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended) return;
    if (this.#tail === undefined) {
      throw streamError("GODWIT_STREAM_TRUNCATED", "it breaks off", this.#pushed);
    }
    this.#finish(this.#tail.finish(this.#allowMissingDescription));
  }

  #push(bytes: Uint8Array): void {
    const length = bytes.length;
    let pos = 0;
    while (pos < length) {
      if (this.#ended) throw streamError("GODWIT_STREAM_ENDED", "bytes behind its end", this.#pushed + pos);
      if (this.#tail !== undefined) {
        const parts = this.#tail.push(bytes, pos, length);
        pos = length;
        if (parts !== undefined) this.#finish(parts);
      } else if (this.#package !== undefined) {
        pos = this.#collect(this.#package, bytes, pos);
      } else if (this.#ram.skip > 0) {
        const skipped = Math.min(length - pos, this.#ram.skip);
        this.#ram.skip -= skipped;
        pos += skipped;
      } else if (this.#carried > 0) {
        pos = this.#completeItem(bytes, pos);
      } else {
        pos = this.#parse(bytes, pos, length, this.#pushed);
        if (this.#need === 0) continue;
        this.#carry.set(bytes.subarray(pos));
        this.#carried = length - pos;
        pos = length;
      }
    }
  }

  /** Appends just as much to the carried beginning of an item as it needs, and parses it. */
  #completeItem(bytes: Uint8Array, pos: number): number {
    const taken = Math.min(this.#need - this.#carried, bytes.length - pos);
    this.#carry.set(bytes.subarray(pos, pos + taken), this.#carried);
    this.#carried += taken;
    if (this.#carried < this.#need) return pos + taken;
    const base = this.#pushed + pos + taken - this.#carried;
    const used = this.#parse(this.#carry, 0, this.#carried, base);
    this.#carry.copyWithin(0, used, this.#carried);
    this.#carried -= used;
    return pos + taken;
  }

  /** Parses whole items until one is incomplete (`#need` > 0) or something else is to take the bytes. */
  #parse(bytes: Uint8Array, pos: number, end: number, base: number): number {
    this.#need = 0;
    while (pos < end) {
      if (this.#parser === undefined) {
        this.#recordOffset = base + pos;
        pos = this.#record(bytes, pos, end, base);
        if (this.#need > 0 || this.#package !== undefined || this.#ended) return pos;
        continue;
      }
      pos = this.#parser.parse(bytes, pos, end, base);
      if (this.#parser.done) {
        this.#parserDone(base + pos);
        if (this.#tail !== undefined) return pos;
      } else if (this.#ram.skip > 0) return pos;
      else if (pos < end) {
        this.#need = this.#parser.need;
        return pos;
      }
    }
    return pos;
  }

  #parserDone(offset: number): void {
    if (this.#parser === this.#configuration) this.#handler.configuration?.(this.#configuration.record());
    else if (this.#section === "end" && !this.#running) {
      this.#recordOffset = offset;
      this.#tail = new DeviceTail(this.#limits, offset);
    }
    this.#parser = undefined;
  }

  /** Reads one top-level record, or as much of it as comes before a parser of its own. */
  #record(bytes: Uint8Array, pos: number, end: number, base: number): number {
    if (!this.#started) return this.#header(bytes, pos, end, base);
    const type = bytes[pos]!;
    switch (type) {
      case RECORD.configuration:
        if (this.#configured || this.#section !== undefined) throw this.#unexpected("a second configuration");
        this.#configured = true;
        this.#parser = this.#configuration;
        return pos;
      case RECORD.command:
        return this.#command(bytes, pos, end);
      case RECORD.sectionStart:
        return this.#sectionStart(bytes, pos, end);
      case RECORD.sectionPart:
      case RECORD.sectionEnd:
        if (end - pos < 5) return this.#wait(5, pos);
        if (this.#section === undefined || readUint32(bytes, pos + 1) !== this.#ram.sectionId) {
          throw streamError("GODWIT_STREAM_UNKNOWN_SECTION", "a part of an unknown section", base + pos);
        }
        this.#beginRam(type === RECORD.sectionPart ? "part" : "end");
        return pos + 5;
      case RECORD.endOfStream:
        if (this.#section !== "end") throw this.#unexpected("its end before the end of RAM");
        this.#complete();
        return pos + 1;
      case RECORD.sectionFull:
        throw this.#unexpected("a device section before the end of RAM");
      case RECORD.description:
      case RECORD.subsection:
      case RECORD.footer:
        throw this.#unexpected(`record 0x${type.toString(16)}`);
      default:
        throw streamError("GODWIT_STREAM_UNKNOWN_RECORD", `record 0x${type.toString(16)}`, base + pos);
    }
  }

  #header(bytes: Uint8Array, pos: number, end: number, base: number): number {
    if (end - pos < 8) return this.#wait(8, pos);
    if (readUint32(bytes, pos) !== MAGIC)
      throw streamError("GODWIT_STREAM_BAD_MAGIC", "no QEVM header", base);
    const version = readUint32(bytes, pos + 4);
    if (version !== VERSION) throw streamError("GODWIT_STREAM_VERSION", `version ${version}`, base + 4);
    this.#started = true;
    this.#handler.header?.(version);
    return pos + 8;
  }

  #sectionStart(bytes: Uint8Array, pos: number, end: number): number {
    if (end - pos < 6) return this.#wait(6, pos);
    const nameBytes = bytes[pos + 5]!;
    const size = 6 + nameBytes + 8;
    if (end - pos < size) return this.#wait(size, pos);
    const name = readName(bytes, pos + 6, nameBytes);
    const version = readUint32(bytes, pos + size - 4);
    if (name !== RAM_SECTION.name || version !== RAM_SECTION.version) {
      const what = `the live section "${name}" version ${version}`;
      const advice =
        "only RAM can be carried live: detach the device or switch off the capability it belongs to";
      throw streamError("GODWIT_STREAM_UNKNOWN_SECTION", what, this.#recordOffset, advice);
    }
    if (this.#section !== undefined) throw this.#unexpected("a second beginning of RAM");
    this.#ram.sectionId = readUint32(bytes, pos + 1);
    this.#beginRam("start");
    return pos + size;
  }

  #beginRam(kind: RamSectionKind): void {
    if (this.#section === "end") throw this.#unexpected("RAM behind the end of RAM");
    this.#section = kind;
    this.#parser = this.#ram;
    this.#ram.begin(kind);
  }

  #command(bytes: Uint8Array, pos: number, end: number): number {
    if (end - pos < COMMAND_HEADER_BYTES) return this.#wait(COMMAND_HEADER_BYTES, pos);
    const type = readUint16(bytes, pos + 1);
    const length = readUint16(bytes, pos + 3);
    checkCommand(type, length, this.#recordOffset);
    const payload = pos + COMMAND_HEADER_BYTES;
    if (end - payload < length) return this.#wait(COMMAND_HEADER_BYTES + length, pos);
    if (type !== COMMAND.packaged) {
      this.#handler.command?.(type, bytes.slice(payload, payload + length));
      return payload + length;
    }
    const left = readUint32(bytes, payload);
    if (left === 0 || left > this.#limits.deviceStateBytes) {
      throw streamError("GODWIT_STREAM_OVERSIZED", `a package of ${left} bytes`, this.#recordOffset);
    }
    this.#package = { bytes: new Gather("a package", left), left };
    return payload + length;
  }

  #collect(pack: { readonly bytes: Gather; left: number }, bytes: Uint8Array, pos: number): number {
    const to = Math.min(bytes.length, pos + pack.left);
    pack.bytes.append(bytes, pos, to, this.#recordOffset);
    pack.left -= to - pos;
    if (pack.left > 0) return to;
    const payload = pack.bytes.view();
    this.#package = undefined;
    if (readPackage(payload).runs) this.#running = true;
    this.#handler.command?.(COMMAND.packaged, payload);
    return to;
  }

  #finish(parts: TailParts): void {
    this.#tail = undefined;
    this.#handler.deviceState?.(parts.deviceState);
    if (parts.description !== undefined) {
      this.#recordOffset += parts.deviceState.length + 1;
      this.#handler.descriptionText?.(parts.description);
      this.#handler.description?.(parseVmDescription(parts.description, this.#limits.descriptionBytes));
    }
    this.#complete();
  }

  #complete(): void {
    this.#ended = true;
    this.#handler.end?.();
  }

  #wait(need: number, pos: number): number {
    this.#need = need;
    return pos;
  }

  #unexpected(what: string): Error {
    return streamError("GODWIT_STREAM_UNEXPECTED_RECORD", what, this.#recordOffset);
  }
}
