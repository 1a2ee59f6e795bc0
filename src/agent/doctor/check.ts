import type { Finding, MachineInfo } from "../schemas.ts";

/** What the checks look at. */
export interface ExaminedHost {
  readonly stateFolder: string;
  /** The QEMU that VMs are started with. */
  readonly qemu: string;
  readonly certificates: { readonly ca: string; readonly cert: string; readonly key: string } | null;
  readonly listen: string;
  readonly ports: {
    readonly api: number;
    readonly wire: number;
    readonly bulk: { from: number; to: number };
  };
  /** An agent has the API and wire ports now, so that they are not expected to be free. */
  readonly agentRuns: boolean;
  /** The agent's VMs; none where no agent is asked. */
  readonly machines: readonly MachineInfo[];
}

/** One check: looks, changes nothing, and says what it found in one or a few findings. */
export interface Check {
  readonly name: string;
  run(host: ExaminedHost): Promise<Finding[]> | Finding[];
}

/** A finding in short: `finding("Node", "ok", "24.1.0")`. */
export function finding(check: string, status: Finding["status"], message: string, advice?: string): Finding {
  return { check, status, message, ...(advice === undefined ? {} : { advice }) };
}
