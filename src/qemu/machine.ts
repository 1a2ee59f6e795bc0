import { createHash } from "node:crypto";
import { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import { extraArgumentProblem } from "./extra-arguments.ts";

/** One PCI slot each; see the table of addresses in docs/machine-file.md. */
export const MAX_NICS = 8;
/** One PCI slot each; see the table of addresses in docs/machine-file.md. */
export const MAX_DISKS = 16;
/** Ports of the one virtio-serial controller: QEMU's default of 31, of which the first is reserved for a console. */
export const MAX_CHANNELS = 30;
/** QEMU rounds memory up to this; a size that it would round is refused, so that both sides count the same. */
export const MEMORY_STEP_BYTES = 8192;
const MIN_MEMORY_BYTES = 8 * 1024 ** 2;
/** The ledger's bitmaps are tested up to 1 TiB, and so is QEMU's 40-bit address space under TCG. */
const MAX_MEMORY_BYTES = 1024 ** 4;

/** A strict object whose error for an unknown key names the known ones. */
function strict<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown key ${issue.keys?.join(", ")}; known are ${Object.keys(shape).join(", ")}`
        : undefined,
  });
}

const path = z.string().min(1, "a path cannot be empty").refine(hasNoNul, "a path cannot contain NUL");
const identifier = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9._-]{0,31}$/,
    "allowed are a letter and up to 31 letters, digits, '.', '_' and '-'",
  );
const macAddress = z
  .string()
  .regex(/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/, "not a MAC address; write for example 52:54:00:12:34:56")
  .refine(
    (mac) => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0,
    "a multicast MAC address is no NIC's own",
  )
  .transform((mac) => mac.toLowerCase());

const diskSchema = strict({
  path,
  format: z.enum(["raw", "qcow2"]),
  readOnly: z.boolean().default(false),
  cache: z.enum(["none", "writeback", "writethrough"]).default("none"),
  interface: z.literal("virtio").default("virtio"),
  id: identifier.optional(),
  serial: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,20}$/, "allowed are up to 20 letters, digits, '.', '_' and '-'")
    .optional(),
});

const backendKinds = [
  strict({
    kind: z.literal("tap"),
    interface: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,15}$/, "not the name of a network interface (at most 15 characters)"),
  }),
  strict({
    kind: z.literal("user"),
    hostForward: z
      .array(
        z
          .string()
          .regex(
            /^(tcp|udp):[0-9.]*:\d{1,5}-[0-9.]*:\d{1,5}$/,
            "write for example tcp:127.0.0.1:2222-:22 (host address and port, guest port)",
          ),
      )
      .max(64)
      .default([]),
  }),
  strict({ kind: z.literal("none") }),
  strict({
    kind: z.literal("netdev"),
    options: z
      .string()
      .min(1)
      .refine((options) => !/(^|,)id=/.test(options), "leave out id=: Godwit sets it")
      .refine(hasNoNul, "NUL is not allowed"),
  }),
] as const;

const nicBackendSchema = z.discriminatedUnion("kind", backendKinds, {
  error: 'the backend\'s kind must be one of "tap", "user", "none", "netdev"',
});

const nicShape = {
  model: z.enum(["virtio-net-pci", "e1000", "e1000e", "rtl8139"]).default("virtio-net-pci"),
  backend: nicBackendSchema,
};
const fileNicSchema = strict({ ...nicShape, mac: macAddress.optional() });
const nicSchema = strict({ ...nicShape, mac: macAddress });

const memoryBackendSchema = z.discriminatedUnion(
  "kind",
  [
    strict({ kind: z.literal("private") }),
    strict({ kind: z.literal("file"), directory: path.default("/dev/shm") }),
    strict({ kind: z.literal("memfd") }),
  ],
  { error: 'the memory backend\'s kind must be one of "private", "file", "memfd"' },
);

const channelSchema = strict({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "allowed are up to 63 letters, digits, '.', '_' and '-'"),
});

/** Name of a VM: it becomes part of file names and of QEMU's arguments. */
export const machineNameSchema = z
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
  hpet: z.boolean().default(false),
  kernel: path.optional(),
  initrd: path.optional(),
  append: z.string().max(2047, "the kernel takes at most 2047 characters").refine(hasNoNul).optional(),
  disks: z.array(diskSchema).max(MAX_DISKS).default([]),
  memoryBackend: memoryBackendSchema.default({ kind: "private" }),
  serial: z.enum(["file", "none"]).default("file"),
  channels: z.array(channelSchema).max(MAX_CHANNELS).default([]),
  vga: z.enum(["none", "std"]).default("none"),
  extraArguments: z.array(z.string().max(65_536).superRefine(refuseOwnOption)).max(256).default([]),
};

const memoryBytesSchema = z
  .number()
  .min(MIN_MEMORY_BYTES, "at least 8 MiB")
  .max(MAX_MEMORY_BYTES, "at most 1 TiB")
  .multipleOf(MEMORY_STEP_BYTES, "memory must be a multiple of 8 KiB");

/** What a machine file may say; `memory` and missing MAC addresses are resolved by `parseMachineFile`. */
export const machineFileSchema = strict({
  ...machineShape,
  memory: z
    .string({ error: "write an amount with its unit, for example 512MiB" })
    .regex(/[A-Za-z]\s*$/, "write an amount with its unit, for example 512MiB"),
  nics: z.array(fileNicSchema).max(MAX_NICS).default([]),
}).superRefine(refuseContradictions);

/** A machine as plain data, complete: what `machine.json` and the wire carry. */
export const machineSchema = strict({
  ...machineShape,
  memoryBytes: memoryBytesSchema,
  nics: z.array(nicSchema).max(MAX_NICS).default([]),
}).superRefine(refuseContradictions);

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

function hasNoNul(text: string): boolean {
  return !text.includes("\0");
}

function refuseOwnOption(argument: string, context: z.RefinementCtx): void {
  const problem = extraArgumentProblem(argument);
  if (problem !== null) context.addIssue({ code: "custom", message: problem });
}

interface Contradictory {
  readonly kernel?: string | undefined;
  readonly initrd?: string | undefined;
  readonly append?: string | undefined;
  readonly disks: readonly { readonly id?: string | undefined; readonly serial?: string | undefined }[];
  readonly nics: readonly { readonly mac?: string | undefined; readonly backend: NicBackend }[];
  readonly channels: readonly { readonly name: string }[];
}

function refuseContradictions(machine: Contradictory, context: z.RefinementCtx): void {
  const refuse = (at: (string | number)[], message: string) => {
    context.addIssue({ code: "custom", path: at, message });
  };
  if (machine.kernel === undefined) {
    if (machine.initrd !== undefined) refuse(["initrd"], "needs a kernel");
    if (machine.append !== undefined) refuse(["append"], "needs a kernel");
  }
  const unique = (list: string, key: string, values: readonly (string | undefined)[]) => {
    values.forEach((value, index) => {
      const first = values.indexOf(value);
      if (value !== undefined && first < index)
        refuse([list, index, key], `the same as ${list}.${first}.${key}`);
    });
  };
  unique("disks", "id", machine.disks.map(diskId));
  unique(
    "disks",
    "serial",
    machine.disks.map((disk) => disk.serial),
  );
  unique(
    "nics",
    "mac",
    machine.nics.map((nic) => nic.mac),
  );
  unique(
    "nics",
    "backend",
    machine.nics.map(({ backend }) => (backend.kind === "tap" ? backend.interface : undefined)),
  );
  unique(
    "channels",
    "name",
    machine.channels.map((channel) => channel.name),
  );
}

/** The name of a disk in QEMU: its `id`, or `disk` and its number. */
export function diskId(disk: { readonly id?: string | undefined }, index: number): string {
  return disk.id ?? `disk${index}`;
}
