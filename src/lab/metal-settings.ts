import { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import { parseBytes, parseBytesPerSecond } from "../base/units.ts";
import { ablations } from "../metal/index.ts";
import { type RebuildPart, rebuildPartNames } from "../migration/settings.ts";

/** One measured run with physical machines, complete. */
export interface MetalSettings {
  /** What is not rebuilt. */
  readonly ablate: readonly RebuildPart[];
  /** Moves to and fro. */
  readonly hops: number;
  readonly linkBytesPerSecond: number | null;
  /** As asked for; the guest gets the next size that is safe under TCG, see `odd-memory.ts`. */
  readonly memoryBytes: number;
  /** Take the size as it is: for QEMUs that don't lose pages under TCG (10 and later). */
  readonly exactMemory: boolean;
  readonly vcpus: number;
  /** The guest uses the local and the I/O APIC; without it the 8259As and the 8254 alone keep it going. */
  readonly apic: boolean;
  readonly nic: (typeof nicNames)[number];
  /** The guest writes records to a disk over the network; 0: there is none. */
  readonly diskBytesPerSecond: number;
  readonly holdBytes: number;
  readonly dirtyBytesPerSecond: number;
  readonly downtimeLimitMs: number;
  /** A version that set-up knows, or the path of a binary. */
  readonly qemu: string;
}

/** NICs that can be rebuilt. */
export const nicNames = ["rtl8139", "pcnet", "e1000"] as const;

const textSchema = z.object({
  ablate: z.string().default(""),
  hops: z.coerce.number().int().min(1).max(1000).default(1),
  link: z.string().default("1Gbit/s"),
  memory: z.string().default("256MiB"),
  exactMemory: z.boolean().default(false),
  vcpus: z.coerce.number().int().min(1).max(16).default(1),
  apic: z.boolean().default(false),
  nic: z.enum(nicNames).default("rtl8139"),
  disk: z.string().default("0"),
  hold: z.string().default("64MiB"),
  dirty: z.string().default("5MB/s"),
  downtimeLimit: z.coerce.number().min(1).default(60),
  qemu: z.string().default("10.0"),
});

/** The options as they are typed. */
export type MetalSettingsText = z.input<typeof textSchema>;

/** @throws GodwitError `GODWIT_LAB_OPTION`, `GODWIT_BAD_QUANTITY` */
export function readMetalSettings(text: MetalSettingsText): MetalSettings {
  const result = textSchema.safeParse(text);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw wrong(`--${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { ablate, link, memory, hold, dirty, disk, downtimeLimit, ...rest } = result.data;
  const parts = ablate.split(",").filter((word) => word !== "" && word !== "none");
  const unknown = parts.find((part) => !(ablations as readonly string[]).includes(part));
  if (unknown !== undefined) throw wrong(`--ablate: "${unknown}" is none of ${rebuildPartNames.join(", ")}`);
  return {
    ...rest,
    ablate: parts as RebuildPart[],
    linkBytesPerSecond: link === "unlimited" ? null : parseBytesPerSecond(link),
    memoryBytes: parseBytes(memory),
    holdBytes: parseBytes(hold),
    dirtyBytesPerSecond: dirty === "0" ? 0 : parseBytesPerSecond(dirty),
    diskBytesPerSecond: disk === "0" ? 0 : parseBytesPerSecond(disk),
    downtimeLimitMs: downtimeLimit,
  };
}

function wrong(why: string): GodwitError {
  return new GodwitError("GODWIT_LAB_OPTION", why, {
    side: "local",
    advice: "see npm run lab -- metal --help",
  });
}
