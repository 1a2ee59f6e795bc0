import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AgentClient } from "../agent/client.ts";
import { DEFAULT_API_PORT } from "../agent/config.ts";
import { GodwitError } from "../base/errors.ts";
import { type Credentials, loadCredentials } from "../wire/index.ts";
import { initAuthority, issueHostFiles, issueOperatorFiles } from "../wire/pki/index.ts";
import type { HostName, LabHost } from "./host.ts";
import type { Hosts } from "./hosts.ts";
import { Portal } from "./portal.ts";
import { endMachinesIn, type RunFolder } from "./run-folder.ts";

/** An agent is ready in about a second; a loaded machine gets half a minute. */
const START_TIMEOUT_MS = 30_000;

/** How long an agent may take to end after SIGTERM: it rolls a migration back first. */
const END_TIMEOUT_MS = 30_000;

const OPERATOR = "operator";

const programPath = join(import.meta.dirname, "../cli/main.ts");

/** The agent of one of the lab's hosts: a process of its own, as in production. */
export class LabAgent implements AsyncDisposable {
  readonly host: LabHost;
  /** The host's name in certificates: `host-a`, `host-b`. */
  readonly name: string;
  /** Speaks to its API from this process, with an operator's certificate. */
  readonly client: AgentClient;
  readonly stateFolder: string;
  readonly logPath: string;
  readonly #start: () => Promise<ChildProcess>;
  readonly #portal: Portal | null;
  #child: ChildProcess;

  private constructor(parts: {
    host: LabHost;
    client: AgentClient;
    stateFolder: string;
    logPath: string;
    start: () => Promise<ChildProcess>;
    portal: Portal | null;
    child: ChildProcess;
  }) {
    this.host = parts.host;
    this.name = agentName(parts.host.name);
    this.client = parts.client;
    this.stateFolder = parts.stateFolder;
    this.logPath = parts.logPath;
    this.#start = parts.start;
    this.#portal = parts.portal;
    this.#child = parts.child;
  }

  /** Starts it; see {@link startLabAgents}. */
  static async start(options: {
    host: LabHost;
    folder: RunFolder;
    pkiFolder: string;
    qemu: string;
    credentials: Credentials;
  }): Promise<LabAgent> {
    const { host, folder, pkiFolder, qemu, credentials } = options;
    const name = agentName(host.name);
    const stateFolder = folder.inside(host.name);
    const logPath = folder.inside(`agent-${host.name}.log`);
    const words = ["agent", "--name", name, "--state", stateFolder, "--pki", pkiFolder];
    const args = [programPath, ...words, "--listen", host.address, "--qemu", qemu];
    const start = () => startProcess(host, args, logPath);
    const child = await start();
    const portal =
      host.namespace === null
        ? null
        : await Portal.open(host, {
            socketPath: folder.inside(`api-${host.name}.sock`),
            host: host.address,
            port: DEFAULT_API_PORT,
          });
    const url =
      portal === null ? `https://${host.address}:${DEFAULT_API_PORT}` : `https://127.0.0.1:${portal.port}`;
    const client = new AgentClient({ url, credentials, serverName: name });
    return new LabAgent({ host, client, stateFolder, logPath, start, portal, child });
  }

  /** The process. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Kills the agent; its QEMUs stay, as they would when it crashes. */
  async kill(): Promise<void> {
    await end(this.#child, "SIGKILL");
  }

  /** Starts it again after {@link kill}. */
  async restart(): Promise<void> {
    this.#child = await this.#start();
  }

  /** Ends the agent and its QEMUs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await end(this.#child, "SIGTERM");
    await this.#portal?.[Symbol.asyncDispose]();
    await endMachinesIn(this.stateFolder);
  }
}

/** Two agents that trust each other. */
export interface LabAgents extends AsyncDisposable {
  readonly a: LabAgent;
  readonly b: LabAgent;
  /** The folder of the authority and all certificates. */
  readonly pkiFolder: string;
  /** The agent of a host. */
  of(host: LabHost): LabAgent;
}

/** The name that a host's certificate carries. */
export function agentName(host: HostName): string {
  return `host-${host}`;
}

/**
 * Makes a throw-away authority, certificates for both hosts and an operator, and starts an agent on each host.
 * @param options.qemu the binary that the agents start VMs with
 * @throws GodwitError `GODWIT_LAB_AGENT` with the agent's last words
 */
export async function startLabAgents(
  hosts: Hosts,
  options: { folder: RunFolder; qemu: string },
): Promise<LabAgents> {
  const { folder, qemu } = options;
  const pkiFolder = folder.inside("pki");
  await initAuthority(pkiFolder, "Godwit lab");
  for (const host of [hosts.a, hosts.b]) {
    const addresses = [host.address, hosts.peerOf(host).peerAddress];
    await issueHostFiles(pkiFolder, agentName(host.name), [...new Set(addresses)]);
  }
  await issueOperatorFiles(pkiFolder, OPERATOR);
  const credentials = await loadCredentials(pkiFolder, OPERATOR);
  const started = await Promise.allSettled(
    [hosts.a, hosts.b].map((host) => LabAgent.start({ host, folder, pkiFolder, qemu, credentials })),
  );
  const agents = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const endAll = async () => {
    await Promise.all(agents.map((agent) => agent[Symbol.asyncDispose]()));
  };
  const [a, b] = agents;
  if (a === undefined || b === undefined) {
    await endAll();
    throw started.find((one) => one.status === "rejected")?.reason;
  }
  return { a, b, pkiFolder, of: (host) => (host === hosts.a ? a : b), [Symbol.asyncDispose]: endAll };
}

async function startProcess(host: LabHost, args: string[], logPath: string): Promise<ChildProcess> {
  const log = openSync(logPath, "a", 0o600);
  const { command, args: wrapped } = host.wrap(process.execPath, args);
  // A session of its own: a terminal's Ctrl-C is for the lab, which then ends its agents in order.
  const child = spawn(command, wrapped, { stdio: ["ignore", "pipe", log], detached: true });
  closeSync(log);
  const timer = setTimeout(() => child.kill("SIGKILL"), START_TIMEOUT_MS);
  try {
    await new Promise<void>((resolve, reject) => {
      child.stdout?.once("data", () => resolve());
      child.once("error", reject);
      child.once("exit", () => reject(new Error("it ended")));
    });
    child.stdout?.resume();
    return child;
  } catch (error) {
    const words = readFileSync(logPath, "utf8").trim().split("\n").slice(-5).join("\n");
    throw new GodwitError(
      "GODWIT_LAB_AGENT",
      `the agent of ${agentName(host.name)} did not start: ${words}`,
      {
        side: "local",
        cause: error,
      },
    );
  } finally {
    clearTimeout(timer);
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
}
