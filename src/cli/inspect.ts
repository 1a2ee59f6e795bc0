import type { Command } from "commander";
import { GodwitError } from "../base/errors.ts";
import { type DeviceSection, decodeDeviceSection, plainFields, StreamSummary } from "../stream/index.ts";
import { inspectedBytes } from "./inspect-input.ts";
import { printDevice, printSummary } from "./inspect-text.ts";
import { printJson, type Terminal } from "./terminal.ts";

interface InspectOptions {
  readonly json?: boolean;
  readonly device?: string;
}

/** `godwit inspect`: what a captured migration stream holds. */
export function inspectCommand(program: Command, terminal: Terminal): void {
  program
    .command("inspect")
    .description("show what a captured migration stream holds")
    .argument("<file>", 'the stream, also compressed with zstd or gzip; "-" for standard input')
    .option("--device <name>", 'only this device, for example "cpu" or "virtio-net", with all its fields')
    .option("--json", "print JSON")
    .action(async (file: string, options: InspectOptions) => {
      const summary = new StreamSummary();
      try {
        for await (const bytes of inspectedBytes(file)) summary.push(bytes);
        summary.end();
      } catch (error) {
        // Of a damaged stream, what stands before the damage is worth seeing.
        if (summary.records.length > 0) show(terminal, file, summary, { json: options.json === true });
        throw error;
      }
      show(terminal, file, summary, options);
    });
}

function show(terminal: Terminal, file: string, summary: StreamSummary, options: InspectOptions): void {
  if (options.device !== undefined) {
    const sections = findDevices(summary, options.device);
    if (options.json === true)
      printJson(
        terminal,
        sections.map((section) => plainDevice(summary, section)),
      );
    else for (const section of sections) printDevice(terminal, section);
  } else if (options.json === true) printJson(terminal, plainSummary(file, summary));
  else printSummary(terminal, file, summary);
}

function plainSummary(file: string, summary: StreamSummary): unknown {
  const { version, configuration, complete, bytes, blocks, records, devices } = summary;
  return {
    file,
    version,
    ...configuration,
    complete,
    bytes,
    blocks,
    records,
    devices: devices.map((section) => plainDevice(summary, section)),
  };
}

function plainDevice(summary: StreamSummary, section: DeviceSection): unknown {
  const { idstr, instance, version, sectionId, offset, bytes } = section;
  return {
    name: idstr,
    instance,
    version,
    sectionId,
    offset: (summary.deviceStateOffset ?? 0) + offset,
    bytes: bytes.length,
    fields: plainFields(decodeDeviceSection(section)),
  };
}

/** A device by its name in the stream, or by that name without the bus address before it. */
function findDevices(summary: StreamSummary, name: string): DeviceSection[] {
  const found = summary.devices.filter(({ idstr }) => idstr === name || idstr.endsWith(`/${name}`));
  if (found.length > 0) return found;
  const names = [...new Set(summary.devices.map(({ idstr }) => idstr))];
  throw new GodwitError("GODWIT_USAGE", `there is no device "${name}" in the stream`, {
    side: "local",
    advice:
      names.length > 0 ? `it has ${names.join(", ")}` : "a post-copy stream doesn't describe its devices",
  });
}
