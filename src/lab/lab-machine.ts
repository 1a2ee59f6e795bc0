import { stringify } from "yaml";
import { binaryVersion, type Machine, parseMachineFile, soundMemoryBytes } from "../qemu/index.ts";
import type { Hosts } from "./hosts.ts";
import { labAddresses } from "./namespace-network.ts";
import { GUEST_KERNEL_PARAMETERS, type GuestImage, guestImage } from "./toolchain.ts";

/** The name of the lab's guest. */
export const LAB_MACHINE_NAME = "guest";

/** The virtio-serial port by which the load generator takes commands; it needs no network. */
export const CONTROL_CHANNEL = "org.godwit.lab.0";

/** The port of the guest's helper, which tells what is free. */
const HELPER_CHANNEL = "org.godwit.guest.0";

/** The guest's memory: the next size that this QEMU keeps whole, unless that asked for is to be left alone. */
export async function labMemoryBytes(
  settings: { readonly memoryBytes: number; readonly exactMemory: boolean },
  binary: string,
): Promise<number> {
  const { memoryBytes, exactMemory } = settings;
  return exactMemory ? memoryBytes : soundMemoryBytes(memoryBytes, await binaryVersion(binary));
}

/** What the lab's guest shall be like. */
export interface LabMachineOptions {
  readonly memoryBytes: number;
  readonly vcpus?: number;
  readonly name?: string;
  /** More for its kernel. */
  readonly kernelParameters?: string;
  /** More for its machine file: disks, another memory backend … */
  readonly more?: Readonly<Record<string, unknown>>;
  readonly image?: GuestImage;
}

/** The machine file of the lab's guest on these hosts, as YAML text. */
export function labMachineFile(hosts: Hosts, options: LabMachineOptions): string {
  const image = options.image ?? guestImage();
  const { guest, guestPrefixBits, client } = labAddresses;
  const network = `godwit.ip=${guest}/${guestPrefixBits} godwit.gw=${client}`;
  return stringify({
    name: options.name ?? LAB_MACHINE_NAME,
    memory: `${options.memoryBytes / 1024}KiB`,
    vcpus: options.vcpus ?? 1,
    kernel: image.kernel,
    initrd: image.initrd,
    append: [GUEST_KERNEL_PARAMETERS, hosts.a.tap === null ? "" : network, options.kernelParameters ?? ""]
      .filter((part) => part !== "")
      .join(" "),
    nics: [{ backend: hosts.a.tap === null ? { kind: "user" } : { kind: "tap", interface: hosts.a.tap } }],
    channels: [{ name: CONTROL_CHANNEL }, { name: HELPER_CHANNEL }],
    ...options.more,
  });
}

/** The same, read. */
export function labMachine(hosts: Hosts, options: LabMachineOptions): Machine {
  return parseMachineFile(labMachineFile(hosts, options));
}
