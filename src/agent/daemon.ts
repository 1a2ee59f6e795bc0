import { destination, pino } from "pino";
import { GodwitAgent } from "./agent.ts";
import type { AgentConfig } from "./config.ts";
import { realParts } from "./real-parts.ts";
import { softwareVersion } from "./version.ts";

/** What an agent writes to stdout, as one line of JSON, when it can be spoken to. */
export interface ReadyLine {
  readonly ready: true;
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  readonly apiPort: number;
  readonly wirePort: number;
  readonly stateFolder: string;
}

/**
 * Runs an agent in this process until SIGTERM or SIGINT: logs to stderr, the ready line to stdout. VMs stay when it
 * ends. A second signal ends it at once.
 * @throws GodwitError whatever kept it from starting
 */
export async function runAgent(config: AgentConfig): Promise<void> {
  const log = pino(
    { level: config.logLevel, base: { host: config.name } },
    destination({ dest: 2, sync: true }),
  );
  const { promise: asked, resolve: ask } = Promise.withResolvers<NodeJS.Signals>();
  let asking = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    asking += 1;
    if (asking > 1) process.exit(130);
    ask(signal);
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  try {
    const agent = await GodwitAgent.start(config, log, realParts);
    const ready: ReadyLine = {
      ready: true,
      name: config.name,
      version: softwareVersion,
      pid: process.pid,
      apiPort: agent.apiPort,
      wirePort: agent.wirePort,
      stateFolder: config.stateFolder,
    };
    process.stdout.write(`${JSON.stringify(ready)}\n`);
    log.info({ ...ready }, "agent is ready");
    log.info({ signal: await asked }, "agent ends");
    await agent.close();
  } finally {
    process.off("SIGTERM", onSignal);
    process.off("SIGINT", onSignal);
  }
}
