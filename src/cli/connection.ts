import type { Command } from "commander";
import { AgentClient } from "../agent/client.ts";
import { GodwitError } from "../base/errors.ts";
import { type CertificateOptions, loadClientCredentials } from "./client-credentials.ts";
import type { Terminal } from "./terminal.ts";

/** The options by which every command that talks to an agent finds it. */
export interface ConnectionOptions extends CertificateOptions {
  readonly agent?: string;
  readonly agentName?: string;
  readonly json?: boolean;
}

/** Adds the options of a command that talks to an agent. */
export function withConnection(command: Command): Command {
  return command
    .option("--agent <url>", "the agent to talk to ($GODWIT_AGENT; default https://localhost:7480)")
    .option("--agent-name <name>", "the name in the agent's certificate, when it is not the URL's host")
    .option(
      "--pki <folder>",
      "folder of certificates made by `godwit pki` ($GODWIT_PKI; default /etc/godwit/pki)",
    )
    .option("--as <name>", "whose certificate in that folder (default: operator, then this host's)")
    .option("--ca <file>", "certificate of the agents' authority, instead of --pki")
    .option("--cert <file>", "our certificate, instead of --pki")
    .option("--key <file>", "our private key, instead of --pki")
    .option("--json", "print JSON");
}

/** A client for the agent that the options or the environment name. */
export async function connect(options: ConnectionOptions, terminal: Terminal): Promise<AgentClient> {
  const url = agentUrl(options.agent ?? terminal.environment.GODWIT_AGENT ?? "https://localhost:7480");
  const credentials = await loadClientCredentials(options, terminal.environment);
  const serverName = options.agentName ?? terminal.environment.GODWIT_AGENT_NAME;
  return new AgentClient({ url, credentials, ...(serverName === undefined ? {} : { serverName }) });
}

/** Runs `work` with a client and closes it afterwards. */
export async function withClient<Result>(
  options: ConnectionOptions,
  terminal: Terminal,
  work: (client: AgentClient) => Promise<Result>,
): Promise<Result> {
  const client = await connect(options, terminal);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** Takes `host`, `host:port` or a URL; only HTTPS makes sense. */
function agentUrl(text: string): string {
  const full = text.includes("://") ? text : `https://${text}`;
  const url = URL.canParse(full) ? new URL(full) : null;
  if (url === null || url.protocol !== "https:" || url.hostname === "") {
    throw new GodwitError("GODWIT_USAGE", `"${text}" is not an agent's address`, {
      side: "local",
      advice: "write for example https://host:7480",
    });
  }
  if (url.port === "" && !/:443\b/.test(full)) url.port = "7480";
  return url.href;
}
