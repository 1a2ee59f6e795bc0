import type { Command } from "commander";
import type { AgentConfigInput } from "../agent/config.ts";
import { GodwitError } from "../base/errors.ts";
import type { Terminal } from "./terminal.ts";

interface AgentOptions {
  readonly config?: string;
  readonly state?: string;
  readonly name?: string;
  readonly listen?: string;
  readonly apiPort?: string;
  readonly wirePort?: string;
  readonly bulkPorts?: string;
  readonly pki?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly qemu?: string;
  readonly logLevel?: string;
}

/** `godwit agent`: the daemon of one host, in the foreground. */
export function agentCommand(program: Command, terminal: Terminal): void {
  program
    .command("agent")
    .description("run the daemon of this host in the foreground; it prints one line of JSON when it is ready")
    .option("--config <file>", "configuration in YAML; options given here win")
    .option("--state <folder>", "what must outlive it (default /var/lib/godwit for root)")
    .option("--name <host>", "this host's name (default: the system's)")
    .option("--listen <address>", "address to listen on (default 0.0.0.0)")
    .option("--api-port <port>", "port of the API (default 7480, 0: any)")
    .option("--wire-port <port>", "port for other agents (default 7481, 0: any)")
    .option("--bulk-ports <from-to>", "ports for page contents (default 7482-7499, 0-0: any)")
    .option("--pki <folder>", "certificates made by `godwit pki` ($GODWIT_PKI; default /etc/godwit/pki)")
    .option("--ca <file>", "certificate of the authority, instead of --pki")
    .option("--cert <file>", "this host's certificate, instead of --pki")
    .option("--key <file>", "this host's private key, instead of --pki")
    .option("--qemu <binary>", "the QEMU to start VMs with (default qemu-system-x86_64)")
    .option("--log-level <level>", "fatal, error, warn, info, debug or trace (default info)")
    .action(async ({ config: file, ...options }: AgentOptions) => {
      // Loading the whole agent takes a while: the other commands do without.
      const { resolveConfig } = await import("../agent/config.ts");
      const { runAgent } = await import("../agent/daemon.ts");
      const pki = options.pki ?? (file === undefined ? terminal.environment.GODWIT_PKI : undefined);
      const given = {
        ...options,
        pki,
        apiPort: portOf(options.apiPort),
        wirePort: portOf(options.wirePort),
      } as AgentConfigInput;
      await runAgent(resolveConfig(given, file));
    });
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new GodwitError("GODWIT_USAGE", `"${text}" is not a port`, { side: "local" });
}
