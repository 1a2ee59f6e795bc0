import { readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { isEvent } from "../../src/qemu/qmp-events.ts";
import type { RunningMachine } from "../../src/qemu/running-machine.ts";
import {
  type DecodedStruct,
  type DeviceSection,
  decodeDeviceSection,
  fieldAt,
  parseVmDescription,
  StreamReader,
  splitDeviceSections,
  type VmDescription,
} from "../../src/stream/index.ts";

/** Magic and version in front of the sections, the end-of-stream byte behind them. */
const HEADER_BYTES = 8;

/**
 * What QEMU itself says of its devices, by dumps of their saved state: the judge of what was found out from outside.
 * Only tests and measurements may look at it.
 */
export class DeviceOracle {
  readonly #machine: RunningMachine;
  readonly #description: VmDescription;

  private constructor(machine: RunningMachine, description: VmDescription) {
    this.#machine = machine;
    this.#description = description;
  }

  /**
   * Learns how the machine's sections are laid out from one migration into nothing, whose guest then goes on. Its
   * memory must be a shared file, which is left out.
   */
  static async of(machine: RunningMachine): Promise<DeviceOracle> {
    const { qmp, folder } = machine;
    const capability = (state: boolean) => ({ capabilities: [{ capability: "x-ignore-shared", state }] });
    const path = join(folder, "oracle.sock");
    const description = Promise.withResolvers<VmDescription>();
    const reader = new StreamReader({ description: (json) => description.resolve(parseVmDescription(json)) });
    const server = createServer((socket) => {
      socket.on("data", (bytes) => {
        try {
          reader.push(bytes);
        } catch (error) {
          description.reject(error);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      await qmp.execute("migrate-set-capabilities", capability(true));
      await qmp.execute("migrate-set-capabilities", {
        capabilities: [{ capability: "events", state: true }],
      });
      const ended = qmp.waitForEvent(
        (event) => isEvent(event, "MIGRATION") && event.data.status === "completed",
        { timeoutMs: 60_000 },
      );
      await qmp.execute("migrate", { uri: `unix:${path}` });
      await ended;
      const learned = await description.promise;
      await qmp.execute("migrate-set-capabilities", capability(false));
      await qmp.execute("cont");
      return new DeviceOracle(machine, learned);
    } finally {
      server.close();
    }
  }

  /** The judge of another machine that consists of the same. */
  ofPeer(machine: RunningMachine): DeviceOracle {
    return new DeviceOracle(machine, this.#description);
  }

  /** The sections of the machine's devices now. */
  async sections(): Promise<DeviceSection[]> {
    const filename = join(this.#machine.folder, "oracle.dump");
    await this.#machine.qmp.execute("xen-save-devices-state", { filename, live: false });
    const dump = readFileSync(filename);
    rmSync(filename);
    return splitDeviceSections(dump.subarray(HEADER_BYTES, -1), this.#description);
  }

  /** The fields of one device, by the name of its section. */
  async device(idstr: string, instance = 0): Promise<DecodedStruct> {
    const section = (await this.sections()).find(
      (candidate) => candidate.idstr === idstr && candidate.instance === instance,
    );
    if (section === undefined) throw new Error(`the machine has no section ${idstr}`);
    return decodeDeviceSection(section);
  }
}

/** Every field of a device as text by its path, so that two states can be compared and differences listed. */
export function flatFields(device: DecodedStruct, prefix = ""): Map<string, string> {
  const flat = new Map<string, string>();
  const add = (path: string, value: unknown): void => {
    if (value instanceof Uint8Array) flat.set(path, Buffer.from(value).toString("hex"));
    else if (Array.isArray(value)) for (const [index, item] of value.entries()) add(`${path}.${index}`, item);
    else if (typeof value === "object" && value !== null && "fields" in value) {
      for (const [inner, text] of flatFields(value as DecodedStruct, `${path}.`)) flat.set(inner, text);
    } else flat.set(path, String(value));
  };
  for (const { name, value } of device.fields) add(`${prefix}${name}`, value);
  for (const subsection of device.subsections) {
    for (const [inner, text] of flatFields(subsection, `${prefix}${subsection.name}.`)) flat.set(inner, text);
  }
  return flat;
}

/** A field as a number. */
export function numberAt(device: DecodedStruct, ...path: readonly (string | number)[]): number {
  return Number(fieldAt(device, ...path));
}
