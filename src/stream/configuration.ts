import { readName, readUint32 } from "./bytes.ts";
import { capabilityError, streamError } from "./errors.ts";
import { RECORD } from "./format.ts";
import type { ItemParser } from "./item-parser.ts";
import { MAX_CAPABILITIES, MAX_NAME_BYTES } from "./limits.ts";

const UUID_BYTES = 16;

/**
 * Reads the configuration record: the machine type and the subsections that QEMU knows: target page bits,
 * capabilities that both sides must share, and the VM's UUID. Others have no length and can't be passed over.
 */
export class ConfigurationParser implements ItemParser {
  need = 0;
  done = false;
  machineType = "";
  readonly capabilities: string[] = [];
  readonly #pieces: Uint8Array[] = [];

  /** The whole record, verbatim. */
  record(): Uint8Array {
    return Buffer.concat(this.#pieces);
  }

  parse(bytes: Uint8Array, pos: number, end: number, base: number): number {
    while (pos < end && !this.done) {
      const first = this.#pieces.length === 0;
      if (!first && bytes[pos] !== RECORD.subsection) {
        this.done = true;
        break;
      }
      const size = first ? this.#machineType(bytes, pos, end, base) : this.#subsection(bytes, pos, end, base);
      if (end - pos < size) {
        this.need = size;
        return pos;
      }
      this.#pieces.push(bytes.slice(pos, pos + size));
      pos += size;
      this.need = 1;
    }
    return pos;
  }

  #machineType(bytes: Uint8Array, pos: number, end: number, base: number): number {
    if (end - pos < 5) return 5;
    const length = readUint32(bytes, pos + 1);
    if (length > MAX_NAME_BYTES) {
      throw streamError("GODWIT_STREAM_OVERSIZED", `a machine type of ${length} bytes`, base + pos);
    }
    if (end - pos >= 5 + length) this.machineType = readName(bytes, pos + 5, length);
    return 5 + length;
  }

  /** @returns its size as far as known yet: the true size once all of it is there */
  #subsection(bytes: Uint8Array, pos: number, end: number, base: number): number {
    if (end - pos < 2) return 2;
    const fields = 2 + bytes[pos + 1]! + 4;
    if (end - pos < fields) return fields;
    const name = readName(bytes, pos + 2, bytes[pos + 1]!);
    if (name === "configuration/target-page-bits") return fields + 4;
    if (name === "configuration/uuid") return fields + UUID_BYTES;
    if (name === "configuration/capabilities") return this.#capabilities(bytes, pos, fields, end, base);
    throw streamError("GODWIT_STREAM_UNKNOWN_SECTION", `the configuration subsection "${name}"`, base + pos);
  }

  #capabilities(bytes: Uint8Array, pos: number, fields: number, end: number, base: number): number {
    let size = fields + 4;
    if (end - pos < size) return size;
    const count = readUint32(bytes, pos + fields);
    if (count > MAX_CAPABILITIES) {
      throw streamError("GODWIT_STREAM_OVERSIZED", `a list of ${count} capabilities`, base + pos);
    }
    const names: string[] = [];
    for (let index = 0; index < count; index++) {
      if (end - pos < size + 1) return size + 1;
      const length = bytes[pos + size]!;
      size += 1 + length;
      if (end - pos < size) return size;
      names.push(readName(bytes, pos + size - length, length));
    }
    if (names.includes("mapped-ram"))
      throw capabilityError("mapped-ram", "a stream in file layout", base + pos);
    this.capabilities.push(...names);
    return size;
  }
}

/** What a configuration record says. */
export interface StreamConfiguration {
  readonly machineType: string;
  /** Those that both sides must share, `x-ignore-shared` for one; QEMU doesn't write all that are on. */
  readonly capabilities: readonly string[];
}

/**
 * Reads a whole configuration record, as `StreamHandler.configuration` gets it.
 * @throws GodwitError `GODWIT_STREAM_…`
 */
export function readConfiguration(record: Uint8Array): StreamConfiguration {
  const parser = new ConfigurationParser();
  const used = parser.parse(record, 0, record.length, 0);
  if (used !== record.length || record[0] !== RECORD.configuration) {
    throw streamError("GODWIT_STREAM_TRUNCATED", "a configuration record that is not whole");
  }
  return { machineType: parser.machineType, capabilities: parser.capabilities };
}
