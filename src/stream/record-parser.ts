import { readName, readUint16, readUint32 } from "./bytes.ts";
import { COMMAND, COMMAND_HEADER_BYTES, checkCommand } from "./commands.ts";
import { ConfigurationParser } from "./configuration.ts";
import { streamError } from "./errors.ts";
import { MAGIC, RAM_SECTION, RECORD, VERSION } from "./format.ts";
import type { RamSectionKind, StreamHandler, StreamReaderOptions } from "./handler.ts";
import type { ItemParser } from "./item-parser.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { RamParser } from "./ram-parser.ts";

/**
 * What comes behind the last parsed item: further items, the bytes of a package, the device state to its end, or
 * nothing.
 */
export type Expectation = "items" | "package" | "device-state" | "nothing";

/** Reads the records of a stream up to the device state: the top level, and through its own parsers what is inside. */
export class RecordParser implements ItemParser {
  need = 0;
  expects: Expectation = "items";
  /** Bytes of the package that is expected. */
  packageBytes = 0;
  /** Where the last top-level record begins in the stream. */
  recordOffset = 0;
  /** A package has made the destination run: no device state follows the end of RAM. */
  running = false;
  readonly #handler: StreamHandler;
  readonly #maxPackageBytes: number;
  readonly #configuration = new ConfigurationParser();
  readonly #ram: RamParser;
  /** Who reads the next bytes; undefined: they begin a top-level record. */
  #inner: ItemParser | undefined;
  #section: RamSectionKind | undefined;
  #started = false;
  #configured = false;

  constructor(handler: StreamHandler, options: StreamReaderOptions) {
    this.#handler = handler;
    this.#maxPackageBytes = options.limits?.deviceStateBytes ?? DEFAULT_LIMITS.deviceStateBytes;
    const ignoreShared = () => this.#configuration.capabilities.includes("x-ignore-shared");
    this.#ram = new RamParser(handler, options, ignoreShared);
  }

  get done(): boolean {
    return this.expects !== "items";
  }

  /** Bytes of unwanted page content to drop before the next item. */
  get skip(): number {
    return this.#ram.skip;
  }

  set skip(bytes: number) {
    this.#ram.skip = bytes;
  }

  parse(bytes: Uint8Array, pos: number, end: number, base: number): number {
    this.need = 0;
    while (pos < end && this.need === 0 && this.expects === "items" && this.#ram.skip === 0) {
      if (this.#inner === undefined) {
        this.recordOffset = base + pos;
        pos = this.#record(bytes, pos, end);
      } else {
        pos = this.#inner.parse(bytes, pos, end, base);
        if (this.#inner.done) this.#innerDone(base + pos);
        else if (pos < end) this.need = this.#inner.need;
      }
    }
    return pos;
  }

  #innerDone(offset: number): void {
    if (this.#inner === this.#configuration) this.#handler.configuration?.(this.#configuration.record());
    else if (this.#section === "end" && !this.running) {
      this.recordOffset = offset;
      this.expects = "device-state";
    }
    this.#inner = undefined;
  }

  /** Reads one top-level record, or as much of it as comes before a parser of its own. */
  #record(bytes: Uint8Array, pos: number, end: number): number {
    if (!this.#started) return this.#header(bytes, pos, end);
    const type = bytes[pos]!;
    switch (type) {
      case RECORD.configuration:
        if (this.#configured || this.#section !== undefined) throw this.#unexpected("a late configuration");
        this.#configured = true;
        this.#inner = this.#configuration;
        return pos;
      case RECORD.command:
        return this.#command(bytes, pos, end);
      case RECORD.sectionStart:
        return this.#sectionStart(bytes, pos, end);
      case RECORD.sectionPart:
      case RECORD.sectionEnd:
        if (end - pos < 5) return this.#wait(5, pos);
        if (this.#section === undefined || readUint32(bytes, pos + 1) !== this.#ram.sectionId) {
          throw this.#error("GODWIT_STREAM_UNKNOWN_SECTION", "a part of an unknown section");
        }
        this.#beginRam(type === RECORD.sectionPart ? "part" : "end");
        return pos + 5;
      case RECORD.endOfStream:
        if (this.#section !== "end") throw this.#unexpected("its end before the end of RAM");
        this.expects = "nothing";
        return pos + 1;
      case RECORD.sectionFull:
        throw this.#unexpected("a device section before the end of RAM");
      case RECORD.description:
      case RECORD.subsection:
      case RECORD.footer:
        throw this.#unexpected(`record 0x${type.toString(16)}`);
      default:
        throw this.#error("GODWIT_STREAM_UNKNOWN_RECORD", `record 0x${type.toString(16)}`);
    }
  }

  #header(bytes: Uint8Array, pos: number, end: number): number {
    if (end - pos < 8) return this.#wait(8, pos);
    if (readUint32(bytes, pos) !== MAGIC) throw this.#error("GODWIT_STREAM_BAD_MAGIC", "no QEVM header");
    const version = readUint32(bytes, pos + 4);
    if (version !== VERSION) throw this.#error("GODWIT_STREAM_VERSION", `version ${version}`);
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
      throw streamError("GODWIT_STREAM_UNKNOWN_SECTION", what, this.recordOffset, advice);
    }
    if (this.#section !== undefined) throw this.#unexpected("a second beginning of RAM");
    this.#ram.sectionId = readUint32(bytes, pos + 1);
    this.#beginRam("start");
    return pos + size;
  }

  #beginRam(kind: RamSectionKind): void {
    if (this.#section === "end") throw this.#unexpected("RAM behind the end of RAM");
    this.#section = kind;
    this.#inner = this.#ram;
    this.#ram.begin(kind);
  }

  #command(bytes: Uint8Array, pos: number, end: number): number {
    if (end - pos < COMMAND_HEADER_BYTES) return this.#wait(COMMAND_HEADER_BYTES, pos);
    const type = readUint16(bytes, pos + 1);
    const length = readUint16(bytes, pos + 3);
    checkCommand(type, length, this.recordOffset);
    const payload = pos + COMMAND_HEADER_BYTES;
    if (end - payload < length) return this.#wait(COMMAND_HEADER_BYTES + length, pos);
    if (type !== COMMAND.packaged) this.#handler.command?.(type, bytes.slice(payload, payload + length));
    else {
      this.packageBytes = readUint32(bytes, payload);
      if (this.packageBytes === 0 || this.packageBytes > this.#maxPackageBytes) {
        throw this.#error("GODWIT_STREAM_OVERSIZED", `a package of ${this.packageBytes} bytes`);
      }
      this.expects = "package";
    }
    return payload + length;
  }

  #wait(need: number, pos: number): number {
    this.need = need;
    return pos;
  }

  #unexpected(what: string): Error {
    return this.#error("GODWIT_STREAM_UNEXPECTED_RECORD", what);
  }

  #error(code: Parameters<typeof streamError>[0], what: string): Error {
    return streamError(code, what, this.recordOffset);
  }
}
