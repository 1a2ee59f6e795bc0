import {
  beginRamPart,
  COMMAND,
  endRamSection,
  type RamBlock,
  type RamSectionKind,
  type StreamHandler,
  StreamReader,
  writeCommand,
  writeDescription,
  writeEndOfStream,
  writeHeader,
  writePage,
  writeRamStart,
  writeZeroPage,
} from "../index.ts";

/**
 * Reads a stream and writes it anew with our writer, in QEMU's way: a block's name only where the block changes.
 * A captured pre-copy comes out byte by byte the same.
 */
export function rewrite(stream: Uint8Array): Buffer {
  const rewriter = new Rewriter(stream.length);
  const reader = new StreamReader(rewriter);
  reader.push(stream);
  reader.end();
  return rewriter.bytes();
}

class Rewriter implements StreamHandler {
  readonly #out: Buffer;
  #at = 0;
  #sectionId = 0;
  #blocks: readonly RamBlock[] = [];
  #block = -1;

  constructor(size: number) {
    this.#out = Buffer.alloc(size + 1024 ** 2);
  }

  bytes(): Buffer {
    return this.#out.subarray(0, this.#at);
  }

  header(): void {
    this.#at = writeHeader(this.#out, this.#at);
  }

  configuration(record: Uint8Array): void {
    this.#copy(record);
  }

  ramStart(sectionId: number, blocks: readonly RamBlock[]): void {
    this.#sectionId = sectionId;
    this.#blocks = blocks;
    this.#at = writeRamStart(this.#out, this.#at, sectionId, blocks);
  }

  ramSectionStart(kind: RamSectionKind): void {
    if (kind !== "start") this.#at = beginRamPart(this.#out, this.#at, this.#sectionId, kind);
  }

  zeroPage(block: number, page: number, fill: number): void {
    this.#at = writeZeroPage(this.#out, this.#at, this.#name(block), page, fill);
  }

  page(block: number, page: number, content: Uint8Array, offset: number): void {
    const source = Buffer.from(content.buffer, content.byteOffset, content.length);
    this.#at = writePage(this.#out, this.#at, this.#name(block), page, source, offset);
  }

  ramSectionEnd(kind: RamSectionKind): void {
    if (kind !== "start") this.#at = endRamSection(this.#out, this.#at, this.#sectionId);
  }

  command(type: number, payload: Uint8Array): void {
    if (type === COMMAND.packaged) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(payload.length);
      this.#at = writeCommand(this.#out, this.#at, type, length);
      this.#copy(payload);
    } else this.#at = writeCommand(this.#out, this.#at, type, payload);
  }

  deviceState(bytes: Uint8Array): void {
    this.#copy(bytes);
  }

  description(json: Uint8Array): void {
    this.#at = writeEndOfStream(this.#out, this.#at);
    this.#at = writeDescription(this.#out, this.#at, json);
    this.#ended = true;
  }

  #ended = false;

  end(): void {
    if (!this.#ended) this.#at = writeEndOfStream(this.#out, this.#at);
  }

  #copy(bytes: Uint8Array): void {
    this.#out.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #name(block: number): string | undefined {
    if (block === this.#block) return undefined;
    this.#block = block;
    return this.#blocks[block]!.name;
  }
}
