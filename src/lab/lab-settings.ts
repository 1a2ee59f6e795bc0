import { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import { parseBytes, parseBytesPerSecond, parseMilliseconds } from "../base/units.ts";
import {
  compressionNames,
  contentSourceNames,
  freePagesNames,
  type ResumeSetSource,
  resumeSetFrom,
  strategyNames,
  workingSetNames,
} from "../migration/settings.ts";
import type { BalloonUse } from "./balloon.ts";

/** How stock QEMU can be told to move a guest. */
export const qemuStrategies = ["stop-and-copy", "pre-copy", "post-copy"] as const;

/** The name of one of them. */
export type QemuStrategy = (typeof qemuStrategies)[number];

/** Who moves the guest: Godwit's agents, or stock QEMU to stock QEMU as the baseline. */
export const engineNames = ["godwit", "qemu"] as const;

/** What the guest's memory holds besides the held part: never touched, or used and given back before. */
export const freeMemoryNames = ["used", "untouched"] as const;

/** What the guest's memory is made of: QEMU's own, an anonymous file of small pages, or one of huge pages. */
export const memoryBackendNames = ["private", "memfd", "huge-pages"] as const;

/** How much of a page changes when the guest dirties it. */
export const rewriteNames = ["stamps", "pages"] as const;

/** One measured run, complete. Sizes in bytes, times in milliseconds. */
export interface LabSettings {
  readonly engine: (typeof engineNames)[number];
  readonly strategy: string;
  /** As asked for; the guest gets the next size that is safe under TCG, see `odd-memory.ts`. */
  readonly memoryBytes: number;
  /** Take the size as it is: for QEMUs that don't lose pages under TCG (10 and later). */
  readonly exactMemory: boolean;
  readonly memoryBackend: (typeof memoryBackendNames)[number];
  readonly vcpus: number;
  readonly holdBytes: number;
  readonly content: "random" | "text";
  readonly freeMemory: (typeof freeMemoryNames)[number];
  readonly dirtyBytesPerSecond: number;
  readonly hotBytes: number;
  /** What the guest writes into a page it dirties: 17 words all over it, or all of it. */
  readonly rewrite: (typeof rewriteNames)[number];
  /** How fast the guest reads through all that it holds. */
  readonly readBytesPerSecond: number;
  /** Null: the link is not shaped. */
  readonly linkBytesPerSecond: number | null;
  readonly latencyMs: number;
  readonly downtimeLimitMs: number;
  /** A version that set-up knows, or the path of a binary. */
  readonly qemu: string;
  /** Of stock QEMU on both sides, switched on. */
  readonly capabilities: readonly string[];
  /** Of stock QEMU on both sides, by QEMU's names. */
  readonly parameters: Readonly<Record<string, string | number>>;
  readonly compression: (typeof compressionNames)[number];
  readonly contents: (typeof contentSourceNames)[number];
  readonly freePages: (typeof freePagesNames)[number];
  readonly workingSet: (typeof workingSetNames)[number];
  /** What leads a guest that resumes early; null: what pays. */
  readonly resumeSet: readonly ResumeSetSource[] | null;
  /** The guest drops clean page cache first. */
  readonly dropCache: boolean;
  readonly bandwidthBytesPerSecond: number | null;
  /** Of stock QEMU: whether the guest gives back memory first. */
  readonly balloon: BalloonUse;
  /** More for the guest's kernel. */
  readonly kernelParameters: string;
  /** Pages that go with one that the guest waits for; null: Godwit adapts it. */
  readonly bubblePages: number | null;
  /** Stock QEMU's way to leave out free pages: a balloon device that reports them. */
  readonly freePageHint: boolean;
  /** A move that takes longer is cancelled; null: stock QEMU's after five minutes, Godwit's never. */
  readonly giveUpMs: number | null;
  /** Times there and back; 0 is one move from a to b. */
  readonly roundTrips: number;
  /** What the two hosts are; null for the better kind that this process may make. */
  readonly hosts: "namespaces" | "loopback" | null;
}

const textSchema = z.object({
  engine: z.enum(engineNames).default("godwit"),
  strategy: z.enum(strategyNames).optional(),
  memory: z.string().default("1GiB"),
  exactMemory: z.boolean().default(false),
  memoryBackend: z.enum(memoryBackendNames).default("private"),
  vcpus: z.coerce.number().int().min(1).max(16).default(1),
  hold: z.string().default("50%"),
  content: z.enum(["random", "text"]).default("text"),
  freeMemory: z.enum(freeMemoryNames).default("used"),
  dirty: z.string().default("0"),
  hot: z.string().default("64MiB"),
  rewrite: z.enum(rewriteNames).default("stamps"),
  read: z.string().default("0"),
  link: z.string().default("1Gbit/s"),
  latency: z.string().default("0ms"),
  // QEMU's own default, and so Godwit's.
  downtimeLimit: z.string().default("300ms"),
  qemu: z.string().default("10.0"),
  capabilities: z.string().optional(),
  parameters: z.string().optional(),
  compression: z.enum(compressionNames).default("auto"),
  contents: z.enum(contentSourceNames).default("auto"),
  freePages: z.enum(freePagesNames).default("auto"),
  workingSet: z.enum(workingSetNames).default("auto"),
  resumeSet: z.string().default("auto"),
  dropCache: z.boolean().default(false),
  bandwidth: z.string().optional(),
  bubble: z.coerce.number().int().min(1).max(256).optional(),
  balloon: z.string().default("none"),
  kernelParameters: z.string().default(""),
  freePageHint: z.boolean().default(false),
  giveUp: z.string().optional(),
  hosts: z.enum(["namespaces", "loopback"]).optional(),
  roundTrips: z.coerce.number().int().min(0).max(1000).default(0),
});

/** A run's settings as they stand on a command line. */
export type LabSettingsText = z.input<typeof textSchema>;

/**
 * Reads a run's settings from text.
 * @throws GodwitError `GODWIT_LAB_OPTION`, `GODWIT_BAD_QUANTITY`
 */
export function readLabSettings(text: LabSettingsText): LabSettings {
  const parsed = textSchema.safeParse(text);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw badOption(`--${dashed(String(issue?.path[0] ?? "?"))}: ${issue?.message ?? "?"}`);
  }
  const { data } = parsed;
  const memoryBytes = parseBytes(data.memory);
  if (data.engine === "qemu" && !isQemuStrategy(data.strategy ?? "pre-copy")) {
    throw badOption(`--strategy ${data.strategy}: the engine qemu knows ${qemuStrategies.join(", ")} only`);
  }
  if (data.engine === "godwit" && (data.capabilities ?? data.parameters) !== undefined) {
    throw badOption("--capabilities and --parameters are for the engine qemu");
  }
  if (data.engine === "godwit" && data.balloon !== "none")
    throw badOption("--balloon is for the engine qemu");
  if (data.engine === "godwit" && data.freePageHint) {
    throw badOption("--free-page-hint is for the engine qemu");
  }
  return {
    engine: data.engine,
    strategy: data.strategy ?? "pre-copy",
    memoryBytes,
    // Huge pages make up no other sizes.
    exactMemory: data.exactMemory || data.memoryBackend === "huge-pages",
    memoryBackend: data.memoryBackend,
    vcpus: data.vcpus,
    holdBytes: share(data.hold, memoryBytes),
    content: data.content,
    freeMemory: data.freeMemory,
    dirtyBytesPerSecond: parseBytesPerSecond(data.dirty),
    hotBytes: share(data.hot, memoryBytes),
    rewrite: data.rewrite,
    readBytesPerSecond: parseBytesPerSecond(data.read),
    linkBytesPerSecond: data.link === "unlimited" ? null : parseBytesPerSecond(data.link),
    latencyMs: parseMilliseconds(data.latency),
    downtimeLimitMs: parseMilliseconds(data.downtimeLimit),
    qemu: data.qemu,
    capabilities: list(data.capabilities),
    parameters: Object.fromEntries(list(data.parameters).map(parameter)),
    compression: data.compression,
    contents: data.contents,
    freePages: data.freePages,
    workingSet: data.workingSet,
    resumeSet: resumeSetFrom(data.resumeSet) ?? null,
    dropCache: data.dropCache,
    balloon: balloonUse(data.balloon),
    kernelParameters: data.kernelParameters,
    bubblePages: data.bubble ?? null,
    bandwidthBytesPerSecond: data.bandwidth === undefined ? null : parseBytesPerSecond(data.bandwidth),
    freePageHint: data.freePageHint,
    giveUpMs: data.giveUp === undefined ? null : parseMilliseconds(data.giveUp),
    roundTrips: data.roundTrips,
    hosts: data.hosts ?? null,
  };
}

/** Whether stock QEMU can be told to move a guest so. */
export function isQemuStrategy(name: string): name is QemuStrategy {
  return (qemuStrategies as readonly string[]).includes(name);
}

/** `50%` of the memory, or an amount. Whole pages. */
function share(text: string, memoryBytes: number): number {
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text.trim())?.[1];
  const bytes = percent === undefined ? parseBytes(text) : (memoryBytes * Number(percent)) / 100;
  if (bytes > memoryBytes) throw badOption(`${text} is more than the guest's memory`);
  return Math.floor(bytes / 4096) * 4096;
}

function balloonUse(text: string): BalloonUse {
  return text === "none" ? text : { inflateToBytes: parseBytes(text) };
}

function list(text: string | undefined): string[] {
  return (text ?? "").split(",").filter((word) => word !== "");
}

function parameter(word: string): [string, string | number] {
  const [name, value, ...rest] = word.split("=");
  if (name === undefined || value === undefined || rest.length > 0) {
    throw badOption(`--parameters: "${word}" is not name=value`);
  }
  return [name, /^\d+$/.test(value) ? Number(value) : value];
}

function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function badOption(what: string): GodwitError {
  return new GodwitError("GODWIT_LAB_OPTION", what, {
    side: "local",
    advice: "see npm run lab -- migrate --help",
  });
}
