import { z } from "zod";
import { freePagesNames } from "../qemu/machine-parts.ts";
import { resumeSetSources } from "./resume-set-sources.ts";

export { type ResumeSetSource, resumeSetFrom, resumeSetSources } from "./resume-set-sources.ts";
export { freePagesNames };

/** The strategies that can be asked for by name; adding one is adding a file under `strategies/`. */
export const strategyNames = ["stop-and-copy", "pre-copy", "post-copy", "hybrid", "auto"] as const;

/** How page contents are packed for the network; `auto` compresses where the link, not the processor, limits. */
export const compressionNames = ["auto", "none", "zstd", "lz4"] as const;

/** Where page contents come from: read from guest memory when sent, or taken from QEMU's stream. */
export const contentSourceNames = ["auto", "memory", "stream"] as const;

/** Whether the guest is asked for its working set: `auto` where there is somebody to ask. */
export const workingSetNames = ["auto", "off"] as const;

/** What an experiment may leave out of the rebuilding of devices, to see that it was needed. */
export const rebuildPartNames = ["pit", "pic", "ioapic", "uart", "rtc", "nic", "pointers"] as const;

/** One of them. */
export type RebuildPart = (typeof rebuildPartNames)[number];

/** What a user may set per migration. Every default states its reason. */
export const migrationSettingsSchema = z.object({
  strategy: z.enum(strategyNames).default("pre-copy"),
  /** Upper bound of the bytes on the wire per second; absent means as fast as the link goes. */
  bandwidthBytesPerSecond: z.number().int().min(65_536).max(1e12).optional(),
  /** 300 ms is QEMU's own default, so that the two compare. */
  downtimeLimitMs: z.number().min(1).max(2_000_000).default(300),
  compression: z.enum(compressionNames).default("auto"),
  contents: z.enum(contentSourceNames).default("auto"),
  /** Absent: as the machine file says. */
  freePages: z.enum(freePagesNames).optional(),
  /** Whether the guest drops clean page cache first, so that it is free; its programs read from disk again then. */
  dropCache: z.boolean().default(false),
  /** Whether a guest that may resume early is asked which pages it works with, to send these first. */
  workingSet: z.enum(workingSetNames).default("auto"),
  /** Which pages leave before a guest resumes early; absent: those that pay for their bytes. */
  resumeSet: z.array(z.enum(resumeSetSources)).optional(),
  /** Pages that go with one that the guest waits for; absent: it adapts to what pays. */
  bubblePages: z.number().int().min(1).max(256).optional(),
  /** Bulk connections, each with its own thread per side; two fill a 1 Gbit/s link on two cores. */
  bulkConnections: z.number().int().min(1).max(16).default(2),
  /** Move the machine as bare metal: its devices are read and rebuilt as software does, not by QEMU. */
  metal: z.object({ leaveOut: z.array(z.enum(rebuildPartNames)).default([]) }).optional(),
});

/** Settings as a user gives them: everything optional. */
export type MigrationSettingsInput = z.input<typeof migrationSettingsSchema>;

/** Settings with every default filled in. */
export type MigrationSettings = z.output<typeof migrationSettingsSchema>;
