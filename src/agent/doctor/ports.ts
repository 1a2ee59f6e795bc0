import { createServer } from "node:net";
import type { Finding } from "../schemas.ts";
import { type Check, type ExaminedHost, finding } from "./check.ts";

/** Whether the agent's ports are free, or taken by the agent itself. */
export const portsCheck: Check = {
  name: "ports",
  async run(host) {
    const findings: Finding[] = [];
    for (const [what, port, option] of [
      ["API port", host.ports.api, "--api-port"],
      ["wire port", host.ports.wire, "--wire-port"],
    ] as const) {
      if (host.agentRuns) findings.push(finding(what, "ok", `${port}, ours`));
      else if (await isFree(host.listen, port)) findings.push(finding(what, "ok", `${port} is free`));
      else findings.push(finding(what, "fail", `${port} is taken`, `choose another with ${option}`));
    }
    findings.push(await bulkPorts(host));
    return findings;
  },
};

async function bulkPorts({ listen, ports: { bulk } }: ExaminedHost): Promise<Finding> {
  let free = 0;
  for (let port = bulk.from; port <= bulk.to; port += 1) if (await isFree(listen, port)) free += 1;
  const text = `${free} of ${bulk.to - bulk.from + 1} free in ${bulk.from}-${bulk.to}`;
  if (free >= 2) return finding("bulk ports", "ok", text);
  const advice = "each migration away takes two; widen the range with --bulk-ports";
  return finding("bulk ports", free === 0 ? "fail" : "warn", text, advice);
}

function isFree(host: string, port: number): Promise<boolean> {
  if (port === 0) return Promise.resolve(true);
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
