import { z } from "zod";

/** A strict object whose error for an unknown key names the known ones. */
export function strict<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown key ${issue.keys?.join(", ")}; known are ${Object.keys(shape).join(", ")}`
        : undefined,
  });
}

/** A path of a file; relative ones are resolved by whoever knows what they are relative to. */
export const pathSchema = z
  .string()
  .min(1, "a path cannot be empty")
  .refine(hasNoNul, "a path cannot contain NUL");
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

/** One disk: an image file or block device that both hosts see under the same path. Its format is never guessed. */
export const diskSchema = strict({
  path: pathSchema,
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

/** What a NIC has wherever it is described. */
export const nicShape = {
  model: z.enum(["virtio-net-pci", "e1000", "e1000e", "rtl8139", "pcnet"]).default("virtio-net-pci"),
  backend: nicBackendSchema,
};
/** A NIC in a machine file, where the MAC address may be left to Godwit. */
export const fileNicSchema = strict({ ...nicShape, mac: macAddress.optional() });
/** A NIC with its MAC address. */
export const nicSchema = strict({ ...nicShape, mac: macAddress });

/**
 * Where the guest's memory lives: in the process, in a file of its own, in an anonymous file, which may be made of the
 * host's reserved pages of 2 MiB.
 */
export const memoryBackendSchema = z.discriminatedUnion(
  "kind",
  [
    strict({ kind: z.literal("private") }),
    strict({ kind: z.literal("file"), directory: pathSchema.default("/dev/shm") }),
    strict({ kind: z.literal("memfd"), hugePages: z.boolean().default(false) }),
  ],
  { error: 'the memory backend\'s kind must be one of "private", "file", "memfd"' },
);

/** A virtio-serial port, by the name under which the guest finds it; a unix socket in the state folder here. */
export const channelSchema = strict({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "allowed are up to 63 letters, digits, '.', '_' and '-'"),
});

/**
 * Where a guest's free pages are learned from, which need not move; `auto`: its driver, or kpageflags without it;
 * `held-locks`: its driver by the doorbell device.
 */
export const freePagesNames = ["auto", "driver", "kpageflags", "held-locks", "off"] as const;

/** NUL ends a string for the programs it is passed to. */
export function hasNoNul(text: string): boolean {
  return !text.includes("\0");
}
