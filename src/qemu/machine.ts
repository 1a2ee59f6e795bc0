import { createHash } from "node:crypto";
import { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import { refuseContradictions, refuseOwnOption, refuseRelativePaths, toBytes } from "./machine-checks.ts";
import {
  channelSchema,
  diskSchema,
  fileNicSchema,
  freePagesNames,
  hasNoNul,
  memoryBackendSchema,
  nicSchema,
  pathSchema,
  strict,
} from "./machine-parts.ts";

/** One PCI slot each; see the table of addresses in docs/machine-file.md. */
const MAX_NICS = 8;
/** One PCI slot each; see the table of addresses in docs/machine-file.md. */
const MAX_DISKS = 16;
/** Ports of the one virtio-serial controller: QEMU's default of 31, of which the first is reserved for a console. */
const MAX_CHANNELS = 30;
/** QEMU rounds memory up to this; a size that it would round is refused, so that both sides count the same. */
const MEMORY_STEP_BYTES = 8192;
const MIN_MEMORY_BYTES = 8 * 1024 ** 2;
/** The ledger's bitmaps are tested up to 1 TiB, and so is QEMU's 40-bit address space under TCG. */
const MAX_MEMORY_BYTES = 1024 ** 4;

/** Name of a VM: it becomes part of file names and of QEMU's arguments. */
const machineNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    "allowed are up to 64 letters, digits, '.', '_' and '-', the first a letter or digit",
  );

const machineShape = {
  name: machineNameSchema,
  vcpus: z.int().min(1).max(255).default(1),
  machine: z
    .string()
    .regex(
      /^(pc|q35|pc-(i440fx|q35)-\d{1,2}\.\d{1,2})$/,
      "allowed are pc, q35 and versions of them such as pc-i440fx-7.2 or pc-q35-10.0",
    )
    .default("pc"),
  accelerator: z.enum(["tcg", "kvm"]).default("tcg"),
  cpu: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9_.,=+-]{0,511}$/,
      "not a CPU model; write for example qemu64, max or Nehalem,+aes",
    )
    .default("qemu64"),
  kernel: pathSchema.optional(),
  initrd: pathSchema.optional(),
  append: z.string().max(2047, "the kernel takes at most 2047 characters").refine(hasNoNul).optional(),
  disks: z.array(diskSchema).max(MAX_DISKS).default([]),
  memoryBackend: memoryBackendSchema.default({ kind: "private" }),
  serial: z.enum(["file", "none"]).default("file"),
  channels: z.array(channelSchema).max(MAX_CHANNELS).default([]),
  freePages: z.enum(freePagesNames).default("auto"),
  doorbell: z.boolean().default(false),
  vga: z.enum(["none", "std"]).default("none"),
  extraArguments: z.array(z.string().max(65_536).superRefine(refuseOwnOption)).max(256).default([]),
};

const memoryBytesSchema = z
  .number()
  .min(MIN_MEMORY_BYTES, "at least 8 MiB")
  .max(MAX_MEMORY_BYTES, "at most 1 TiB")
  .multipleOf(MEMORY_STEP_BYTES, "memory must be a multiple of 8 KiB");

/** What a machine file may say; `hpet` and missing MAC addresses are resolved by `parseMachineFile`. */
export const machineFileSchema = strict({
  ...machineShape,
  memory: z
    .string({ error: "write an amount with its unit, for example 512MiB" })
    .regex(/[A-Za-z]\s*$/, "write an amount with its unit, for example 512MiB")
    .transform(toBytes)
    .pipe(memoryBytesSchema),
  hpet: z.boolean().optional(),
  nics: z.array(fileNicSchema).max(MAX_NICS).default([]),
}).superRefine(refuseContradictions);

/** A machine as plain data, complete: what `machine.json` and the wire carry. */
export const machineSchema = strict({
  ...machineShape,
  memoryBytes: memoryBytesSchema,
  hpet: z.boolean(),
  nics: z.array(nicSchema).max(MAX_NICS).default([]),
})
  .superRefine(refuseContradictions)
  .superRefine(refuseRelativePaths);

/** A VM: everything that QEMU's command line is made of. Plain data; paths are absolute. */
export type Machine = z.infer<typeof machineSchema>;
/** One disk of a {@link Machine}. */
export type Disk = Machine["disks"][number];
/** One network card of a {@link Machine}. */
export type Nic = Machine["nics"][number];
/** What a NIC is connected to. */
export type NicBackend = Nic["backend"];

/**
 * Checks a machine that came as plain data, from another host or a file of ours.
 * @throws GodwitError `GODWIT_MACHINE`
 */
export function parseMachine(value: unknown): Machine {
  const result = machineSchema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    (issue) => `${issue.path.join(".") || "machine"}: ${issue.message}`,
  );
  throw new GodwitError("GODWIT_MACHINE", `not a valid machine: ${problems.join("; ")}`);
}

/** The MAC address of a NIC that was given none: of QEMU's own range, the same wherever the VM runs. */
export function derivedMacAddress(machineName: string, nicIndex: number): string {
  const digest = createHash("sha256").update(`${machineName}\0${nicIndex}`).digest();
  return ["52", "54", "00", ...[0, 1, 2].map((at) => digest.toString("hex", at, at + 1))].join(":");
}
