import { COMMAND } from "./commands.ts";
import { readConfiguration, type StreamConfiguration } from "./configuration.ts";
import { type DeviceSection, splitDeviceSections } from "./device-sections.ts";
import type { RamBlock, RamSectionKind, StreamHandler } from "./handler.ts";
import { readPackage } from "./package.ts";
import { StreamReader } from "./reader.ts";
import { parseVmDescription } from "./vmdesc.ts";

/**
 * RAM sections beyond this number are counted together: a section is some 50 ms of migration, so this is more than
 * ten minutes, and the list stays small.
 */
const MAX_RECORDS = 16_384;

/** A stretch of a stream. */
export interface RecordSummary {
  readonly offset: number;
  bytes: number;
  readonly kind: "configuration" | "command" | "ram" | "device-state" | "description";
  /** For people: "RAM part", "PING 1" … */
  readonly what: string;
  /** Pages in a RAM section. */
  dataPages?: number;
  zeroPages?: number;
}

/** A RAM block, and how often a page of it is in the stream. */
export interface BlockSummary extends RamBlock {
  dataPages: number;
  zeroPages: number;
}

/** What a stream holds, gathered while it is read; of a stream that breaks off, as far as it goes. */
export class StreamSummary {
  readonly reader: StreamReader;
  version: number | undefined;
  configuration: StreamConfiguration | undefined;
  readonly blocks: BlockSummary[] = [];
  readonly records: RecordSummary[] = [];
  /** Empty in post-copy streams, which come without a description. */
  devices: DeviceSection[] = [];
  /** Where the device state begins; undefined until it is complete. */
  deviceStateOffset: number | undefined;
  bytes = 0;
  #deviceState: Uint8Array | undefined;

  constructor() {
    this.reader = new StreamReader(this.#handler(), { contents: false });
  }

  /** Whether the stream's end was reached. */
  get complete(): boolean {
    return this.reader.ended;
  }

  /** Reads the next bytes. @throws GodwitError `GODWIT_STREAM_…` */
  push(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    this.reader.push(bytes);
  }

  /** No more bytes will come. @throws GodwitError `GODWIT_STREAM_TRUNCATED` */
  end(): void {
    this.reader.end();
  }

  #handler(): StreamHandler {
    return {
      header: (version) => {
        this.version = version;
      },
      configuration: (record) => {
        this.configuration = readConfiguration(record);
        this.#record("configuration", `configuration ${this.configuration.machineType}`, 8);
      },
      ramStart: (_sectionId, blocks) => {
        this.blocks.push(...blocks.map((block) => ({ ...block, dataPages: 0, zeroPages: 0 })));
      },
      ramSectionStart: (kind) => this.#ramSection(kind),
      page: (block) => {
        this.blocks[block]!.dataPages++;
        this.records.at(-1)!.dataPages!++;
      },
      zeroPage: (block) => {
        this.blocks[block]!.zeroPages++;
        this.records.at(-1)!.zeroPages!++;
      },
      command: (type, payload) => this.#record("command", describeCommand(type, payload)),
      deviceState: (bytes) => {
        this.#record("device-state", "device state");
        this.deviceStateOffset = this.reader.recordOffset;
        this.#deviceState = bytes;
      },
      description: (json: Uint8Array) => {
        const vmdesc = parseVmDescription(json);
        this.#record("description", `description of ${vmdesc.devices.length} devices`);
        this.devices = splitDeviceSections(this.#deviceState!, vmdesc);
      },
      end: () => this.#close(this.bytes),
    };
  }

  #ramSection(kind: RamSectionKind): void {
    const last = this.records.at(-1);
    if (this.records.length >= MAX_RECORDS && last?.kind === "ram") return;
    this.#record("ram", `RAM ${kind}`);
    Object.assign(this.records.at(-1)!, { dataPages: 0, zeroPages: 0 });
  }

  #record(kind: RecordSummary["kind"], what: string, offset: number = this.reader.recordOffset): void {
    this.#close(offset);
    this.records.push({ offset, bytes: 0, kind, what });
  }

  #close(offset: number): void {
    const last = this.records.at(-1);
    if (last !== undefined) last.bytes = offset - last.offset;
  }
}

function describeCommand(type: number, payload: Uint8Array): string {
  const name = Object.entries(COMMAND).find(([, number]) => number === type)?.[0] ?? `command ${type}`;
  if (type === COMMAND.ping) return `${name} ${Buffer.from(payload).readUInt32BE()}`;
  if (type !== COMMAND.packaged) return name;
  const { deviceState, runs } = readPackage(payload);
  return `${name} with ${deviceState.length} bytes of device state${runs ? " and run" : ""}`;
}
