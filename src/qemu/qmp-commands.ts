import { z } from "zod";

const version = z.looseObject({
  qemu: z.looseObject({ major: z.number(), minor: z.number(), micro: z.number() }),
  package: z.string().default(""),
});

const migration = z.looseObject({
  status: z.string().optional(),
  "total-time": z.number().optional(),
  "setup-time": z.number().optional(),
  downtime: z.number().optional(),
  "expected-downtime": z.number().optional(),
  "error-desc": z.string().optional(),
  "blocked-reasons": z.array(z.string()).optional(),
  "postcopy-blocktime": z.number().optional(),
  ram: z
    .looseObject({
      total: z.number(),
      transferred: z.number(),
      remaining: z.number(),
      duplicate: z.number(),
      normal: z.number(),
      "normal-bytes": z.number(),
      "dirty-pages-rate": z.number(),
      "dirty-sync-count": z.number(),
      "postcopy-requests": z.number(),
      "page-size": z.number(),
      mbps: z.number(),
    })
    .optional(),
});

const machineKind = z.looseObject({
  name: z.string(),
  alias: z.string().optional(),
  "is-default": z.boolean().optional(),
  deprecated: z.boolean().optional(),
});

/**
 * What is known of the answers to the commands that Godwit uses: an answer that doesn't fit is an error, members
 * beyond these are kept. The names and units are QEMU's own (qapi/*.json).
 */
export const resultSchemas = {
  "query-status": z.looseObject({ status: z.string(), running: z.boolean() }),
  "query-version": version,
  "query-migrate": migration,
  "query-migrate-capabilities": z.array(z.looseObject({ capability: z.string(), state: z.boolean() })),
  "query-migrate-parameters": z.record(z.string(), z.unknown()),
  "query-machines": z.array(machineKind),
  "query-cpus-fast": z.array(
    z.looseObject({ "cpu-index": z.number(), "thread-id": z.number(), "qom-path": z.string() }),
  ),
  "query-block": z.array(
    z.looseObject({
      device: z.string(),
      qdev: z.string().optional(),
      inserted: z.looseObject({}).optional(),
    }),
  ),
  "query-memory-devices": z.array(z.looseObject({ type: z.string() })),
  "query-memory-size-summary": z.looseObject({ "base-memory": z.number() }),
  "query-commands": z.array(z.looseObject({ name: z.string() })),
  "query-kvm": z.looseObject({ enabled: z.boolean(), present: z.boolean() }),
  "qom-get": z.unknown(),
  "human-monitor-command": z.string(),
  "query-balloon": z.looseObject({ actual: z.number() }),
} as const;

type NoArguments = Readonly<Record<string, never>>;

/** `migrate-set-parameters`: sizes and rates in bytes (per second), times in milliseconds, as QEMU has them. */
export interface MigrationParameters {
  /** Bytes per second. */
  readonly "max-bandwidth"?: number;
  /** Bytes per second that QEMU may assume for its downtime estimate (QEMU 8.2 and later). */
  readonly "avail-switchover-bandwidth"?: number;
  /** Milliseconds. */
  readonly "downtime-limit"?: number;
  readonly "max-postcopy-bandwidth"?: number;
  readonly "multifd-channels"?: number;
  readonly "multifd-compression"?: "none" | "zlib" | "zstd" | "qpl" | "uadk" | "qatzip";
  readonly "multifd-zstd-level"?: number;
  readonly [other: string]: unknown;
}

/** Arguments of the commands that Godwit uses. */
export interface QmpArguments {
  readonly qmp_capabilities: { readonly enable?: readonly "oob"[] };
  readonly migrate: { readonly uri: string; readonly resume?: boolean; readonly detach?: boolean };
  readonly migrate_cancel: NoArguments;
  readonly "migrate-set-capabilities": {
    readonly capabilities: readonly { readonly capability: string; readonly state: boolean }[];
  };
  readonly "migrate-set-parameters": MigrationParameters;
  readonly "migrate-incoming": { readonly uri: string };
  readonly "migrate-start-postcopy": NoArguments;
  readonly "migrate-continue": { readonly state: "pre-switchover" };
  readonly "migrate-recover": { readonly uri: string };
  readonly "migrate-pause": NoArguments;
  readonly "query-status": NoArguments;
  readonly "query-version": NoArguments;
  readonly "query-migrate": NoArguments;
  readonly "query-migrate-capabilities": NoArguments;
  readonly "query-migrate-parameters": NoArguments;
  readonly "query-machines": NoArguments;
  readonly "query-cpus-fast": NoArguments;
  readonly "query-block": NoArguments;
  readonly "query-memory-devices": NoArguments;
  readonly "query-memory-size-summary": NoArguments;
  readonly "query-commands": NoArguments;
  readonly "query-kvm": NoArguments;
  readonly "qom-get": { readonly path: string; readonly property: string };
  readonly "human-monitor-command": { readonly "command-line": string; readonly "cpu-index"?: number };
  readonly balloon: { readonly value: number };
  readonly "query-balloon": NoArguments;
  readonly pmemsave: { readonly val: number; readonly size: number; readonly filename: string };
  readonly stop: NoArguments;
  readonly cont: NoArguments;
  readonly quit: NoArguments;
  readonly system_powerdown: NoArguments;
  readonly system_reset: NoArguments;
}

/** A command whose arguments or answer are typed; any other name is taken too, untyped. */
export type KnownCommand = keyof QmpArguments;

/** The arguments that a command takes. */
export type ArgumentsOf<Name extends string> = Name extends KnownCommand
  ? QmpArguments[Name]
  : Readonly<Record<string, unknown>>;

/** What a command answers: checked where {@link resultSchemas} knows it, otherwise what QEMU said. */
export type ResultOf<Name extends string> = Name extends keyof typeof resultSchemas
  ? z.infer<(typeof resultSchemas)[Name]>
  : unknown;

/** `query-status`. */
export type RunStatus = ResultOf<"query-status">;

/** `query-migrate`. */
export type MigrationInfo = ResultOf<"query-migrate">;
