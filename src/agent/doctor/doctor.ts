import { hostname } from "node:os";
import { DEFAULT_API_PORT, DEFAULT_BULK_PORTS, DEFAULT_WIRE_PORT, defaultStateFolder } from "../config.ts";
import type { DoctorReport, Finding } from "../schemas.ts";
import { certificatesCheck } from "./certificates.ts";
import { type Check, type ExaminedHost, finding } from "./check.ts";
import { clockCheck } from "./clock.ts";
import { kvmCheck } from "./kvm.ts";
import { diskCheck, limitsCheck, memoryCheck } from "./limits.ts";
import { machinesCheck } from "./machines.ts";
import { memoryAccessCheck, userfaultCheck } from "./memory-access.ts";
import { nodeCheck } from "./node.ts";
import { portsCheck } from "./ports.ts";
import { qemuCheck } from "./qemu.ts";
import { zstdCheck } from "./zstd.ts";

/** Every check, in the order in which it is told. Adding one is adding a file and a line here. */
export const checks: readonly Check[] = [
  nodeCheck,
  zstdCheck,
  qemuCheck,
  kvmCheck,
  memoryAccessCheck,
  userfaultCheck,
  limitsCheck,
  memoryCheck,
  diskCheck,
  certificatesCheck,
  clockCheck,
  portsCheck,
  machinesCheck,
];

/** Looks at this host with every check. What is not given is what an agent would take by default. */
export async function examineHost(
  given: Partial<ExaminedHost> & { name?: string },
  list: readonly Check[] = checks,
): Promise<DoctorReport> {
  const host: ExaminedHost = {
    stateFolder: given.stateFolder ?? defaultStateFolder(),
    qemu: given.qemu ?? "qemu-system-x86_64",
    certificates: given.certificates ?? null,
    listen: given.listen ?? "0.0.0.0",
    ports: given.ports ?? { api: DEFAULT_API_PORT, wire: DEFAULT_WIRE_PORT, bulk: DEFAULT_BULK_PORTS },
    agentRuns: given.agentRuns ?? false,
    machines: given.machines ?? [],
  };
  const findings: Finding[] = [];
  for (const check of list) {
    try {
      findings.push(...(await check.run(host)));
    } catch (error) {
      findings.push(finding(check.name, "warn", `the check itself failed: ${(error as Error).message}`));
    }
  }
  const statuses = findings.map(({ status }) => status);
  const status = statuses.includes("fail") ? "fail" : statuses.includes("warn") ? "warn" : "ok";
  return { host: given.name ?? hostname(), status, findings };
}
