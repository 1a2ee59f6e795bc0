import { readFileSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { GodwitError } from "../base/errors.ts";

/** The agent's API. */
export const DEFAULT_API_PORT = 7480;
/** Where agents talk to each other. */
export const DEFAULT_WIRE_PORT = 7481;
/** 18 ports: one migration with the most connections allowed, or nine with the usual two. */
export const DEFAULT_BULK_PORTS = { from: 7482, to: 7499 } as const;

/** For ports and ranges `0` lets the kernel choose. */
const port = z.number().int().min(0).max(65_535);

const configSchema = z.strictObject({
  /** Folder of everything that must outlive the agent. */
  state: z.string().min(1).optional(),
  /** This host's name: in certificates, messages and reports. */
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "not a host name")
    .optional(),
  /** Address to listen on. Every address by default: who has no certificate of ours gets nowhere. */
  listen: z.string().min(1).default("0.0.0.0"),
  apiPort: port.default(DEFAULT_API_PORT),
  wirePort: port.default(DEFAULT_WIRE_PORT),
  /** Ports that bulk connections are taken on, so that a firewall can be opened for them. */
  bulkPorts: z
    .string()
    .regex(/^\d{1,5}-\d{1,5}$/, "write a range such as 7482-7499")
    .transform((text) => {
      const [from = 0, to = 0] = text.split("-").map(Number);
      return { from, to };
    })
    .refine(({ from, to }) => from <= to && to <= 65_535, "not a range of ports")
    .default(DEFAULT_BULK_PORTS),
  pki: z.string().min(1).optional(),
  ca: z.string().min(1).optional(),
  cert: z.string().min(1).optional(),
  key: z.string().min(1).optional(),
  /** The QEMU to start VMs with; the system's own if absent. */
  qemu: z.string().min(1).optional(),
  logLevel: z.enum(["fatal", "error", "warn", "info", "debug", "trace"]).default("info"),
});

/** What a configuration file or the command line may say of an agent. */
export type AgentConfigInput = z.input<typeof configSchema>;

/** Everything an agent must know to start. */
export interface AgentConfig {
  readonly stateFolder: string;
  readonly name: string;
  readonly listen: string;
  readonly apiPort: number;
  readonly wirePort: number;
  readonly bulkPorts: { readonly from: number; readonly to: number };
  /** Files of the certificates. */
  readonly certificates: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly qemu: string | undefined;
  readonly logLevel: "fatal" | "error" | "warn" | "info" | "debug" | "trace";
}

/**
 * The configuration of an agent: what `given` says, else the file, else the defaults.
 * @throws GodwitError `GODWIT_CONFIG`
 */
export function resolveConfig(given: AgentConfigInput, file?: string): AgentConfig {
  const fromFile = file === undefined ? {} : readConfig(file);
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const parsed = configSchema.safeParse({ ...fromFile, ...defined });
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw badConfig(issues.join("; "));
  }
  const { state, name = hostname(), qemu, ...rest } = parsed.data;
  return {
    stateFolder: resolve(state ?? defaultStateFolder()),
    name,
    listen: rest.listen,
    apiPort: rest.apiPort,
    wirePort: rest.wirePort,
    bulkPorts: rest.bulkPorts,
    certificates: certificateFiles(rest, name),
    qemu,
    logLevel: rest.logLevel,
  };
}

/** Where an agent keeps its state when it isn't told. */
export function defaultStateFolder(): string {
  if (process.getuid?.() === 0) return "/var/lib/godwit";
  return join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "godwit");
}

/** The files of `--ca`, `--cert` and `--key`, or of the folder that `godwit pki` fills. */
export function certificateFiles(
  options: {
    pki?: string | undefined;
    ca?: string | undefined;
    cert?: string | undefined;
    key?: string | undefined;
  },
  name: string,
): AgentConfig["certificates"] {
  const { pki = "/etc/godwit/pki", ca, cert, key } = options;
  const given = [ca, cert, key].filter((file) => file !== undefined).length;
  if (given !== 0 && given !== 3) throw badConfig("ca, cert and key go together");
  return {
    ca: resolve(ca ?? join(pki, "ca.crt")),
    cert: resolve(cert ?? join(pki, `${name}.crt`)),
    key: resolve(key ?? join(pki, `${name}.key`)),
  };
}

function readConfig(file: string): Record<string, unknown> {
  try {
    const value: unknown = parse(readFileSync(file, "utf8"));
    if (value === null) return {};
    if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    throw badConfig(`${file}: ${(error as Error).message}`);
  }
  throw badConfig(`${file} is not a list of keys and values`);
}

function badConfig(what: string): GodwitError {
  return new GodwitError("GODWIT_CONFIG", `the agent's configuration can't be used: ${what}`, {
    side: "local",
    advice: "see `godwit agent --help` and docs/cli.md",
  });
}
