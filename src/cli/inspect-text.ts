import { formatBytes } from "../base/units.ts";
import {
  type DeviceSection,
  decodeDeviceSection,
  type PlainValue,
  plainFields,
  type RecordSummary,
  type StreamSummary,
} from "../stream/index.ts";
import { printLine, printTable, type Terminal } from "./terminal.ts";
import { formatCount } from "./text.ts";

/** Of many RAM parts in a row, so many at each end are shown. */
const SHOWN_AT_ENDS = 5;
/** Longer texts and lists are cut short; `--json` has them whole. */
const SHOWN_CHARACTERS = 64;
const SHOWN_ELEMENTS = 16;

/** A stream's parts for people. */
export function printSummary(terminal: Terminal, name: string, summary: StreamSummary): void {
  const { version, configuration, blocks, records, devices, bytes, complete } = summary;
  const machine =
    configuration === undefined ? [] : [configuration.machineType, ...configuration.capabilities];
  const parts = [
    `stream version ${version ?? "?"}`,
    ...machine,
    formatBytes(bytes),
    complete ? "complete" : "INCOMPLETE",
  ];
  printLine(terminal, `${name}: ${parts.join(", ")}`);
  if (blocks.length > 0) {
    printLine(terminal, "");
    const rows = blocks.map((block) => [
      block.name,
      formatBytes(block.usedBytes),
      formatCount(block.dataPages),
      formatCount(block.zeroPages),
    ]);
    printTable(terminal, ["RAM block", "memory", "data pages", "zero pages"], rows);
  }
  printLine(terminal, "");
  printTable(terminal, ["offset", "bytes", "record"], shortened(records));
  if (devices.length === 0) return;
  printLine(terminal, "");
  const rows = devices.map((section) => [
    section.idstr,
    String(section.instance),
    String(section.version),
    String((summary.deviceStateOffset ?? 0) + section.offset),
    formatCount(section.bytes.length),
    String(decodeDeviceSection(section).fields.length),
  ]);
  printTable(terminal, ["device", "instance", "version", "offset", "bytes", "fields"], rows);
}

/** One device with all its fields. */
export function printDevice(terminal: Terminal, section: DeviceSection): void {
  printLine(terminal, `${section.idstr} (instance ${section.instance}, version ${section.version})`);
  printFields(terminal, plainFields(decodeDeviceSection(section)), "  ");
}

function shortened(records: readonly RecordSummary[]): string[][] {
  const rows: string[][] = [];
  for (let index = 0; index < records.length; index++) {
    let end = index;
    while (records[end]?.what === "RAM part") end++;
    const left = end - index;
    if (left > 2 * SHOWN_AT_ENDS) {
      rows.push(...records.slice(index, index + SHOWN_AT_ENDS).map(row));
      rows.push(["…", "", `${left - 2 * SHOWN_AT_ENDS} more RAM parts`]);
      index = end - SHOWN_AT_ENDS;
    } else if (left > 0) {
      rows.push(...records.slice(index, end).map(row));
      index = end;
    }
    const record = records[index];
    if (record !== undefined) rows.push(row(record));
  }
  return rows;
}

function row({ offset, bytes, what, dataPages = 0, zeroPages = 0 }: RecordSummary): string[] {
  const pages = `: ${formatCount(dataPages)} data and ${formatCount(zeroPages)} zero pages`;
  return [String(offset), formatCount(bytes), dataPages + zeroPages === 0 ? what : what + pages];
}

function printFields(terminal: Terminal, fields: Readonly<Record<string, PlainValue>>, indent: string): void {
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== "object") printLine(terminal, `${indent}${name}: ${shortText(value)}`);
    else if (!Array.isArray(value)) {
      printLine(terminal, `${indent}${name}:`);
      printFields(terminal, value, `${indent}  `);
    } else if (value.some((element) => typeof element === "object")) {
      for (const [index, element] of value.entries()) {
        printFields(terminal, { [`${name}[${index}]`]: element }, indent);
      }
    } else printLine(terminal, `${indent}${name}: ${shortList(value)}`);
  }
}

function shortText(value: number | boolean | string): string {
  const text = String(value);
  if (text.length <= SHOWN_CHARACTERS) return text;
  return `${text.slice(0, SHOWN_CHARACTERS)}… (${text.length} characters)`;
}

function shortList(values: readonly PlainValue[]): string {
  const shown = values.slice(0, SHOWN_ELEMENTS).join(" ");
  return values.length <= SHOWN_ELEMENTS ? shown : `${shown} … (${values.length} elements)`;
}
