import { hostname } from "node:os";
import type { Command } from "commander";
import { certificateFiles } from "../agent/config.ts";
import type { ExaminedHost } from "../agent/doctor/check.ts";
import type { DoctorReport } from "../agent/schemas.ts";
import { GodwitError } from "../base/errors.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { exitCodes } from "./exit-codes.ts";
import { printJson, printLine, type Terminal } from "./terminal.ts";

interface DoctorOptions extends ConnectionOptions {
  readonly local?: boolean;
  readonly state?: string;
  readonly qemu?: string;
}

const MARKS = { ok: "OK  ", warn: "warn", fail: "FAIL" } as const;

/** `godwit doctor`: asks the agent, and looks at this host itself where none answers. */
export function doctorCommand(program: Command, terminal: Terminal, exit: (code: number) => void): void {
  withConnection(program.command("doctor"))
    .description("check whether a host can do its work, with advice")
    .option("--local", "look at this host without asking an agent")
    .option("--state <folder>", "the agent's state folder, when no agent is asked")
    .option("--qemu <binary>", "the QEMU to look at, when no agent is asked")
    .action(async (options: DoctorOptions) => {
      const report = await findOut(options, terminal);
      if (options.json === true) printJson(terminal, report);
      else print(terminal, report);
      if (report.status === "fail") exit(exitCodes.failed);
    });
}

async function findOut(options: DoctorOptions, terminal: Terminal): Promise<DoctorReport> {
  if (options.local !== true) {
    try {
      return await withClient(options, terminal, (client) => client.doctor());
    } catch (error) {
      const named = options.agent !== undefined || terminal.environment.GODWIT_AGENT !== undefined;
      if (named || !(error instanceof GodwitError)) throw error;
      terminal.stderr.write(`no agent asked (${error.message}); looking at this host\n`);
    }
  }
  const { examineHost } = await import("../agent/doctor/doctor.ts");
  return await examineHost({
    ...(options.state === undefined ? {} : { stateFolder: options.state }),
    ...(options.qemu === undefined ? {} : { qemu: options.qemu }),
    certificates: certificatesOf(options, terminal),
    agentRuns: false,
  });
}

/** The files to look at when no agent is asked: this host's, as `godwit agent` would take them. */
function certificatesOf(options: ConnectionOptions, terminal: Terminal): ExaminedHost["certificates"] {
  const pki = options.pki ?? terminal.environment.GODWIT_PKI;
  const { ca, cert, key } = options;
  if (pki === undefined && ca === undefined) return null;
  return certificateFiles({ pki, ca, cert, key }, options.as ?? hostname());
}

function print(terminal: Terminal, report: DoctorReport): void {
  for (const finding of report.findings) {
    printLine(terminal, `${MARKS[finding.status]}  ${finding.check}: ${finding.message}`);
    if (finding.advice !== undefined) printLine(terminal, `      ${finding.advice}`);
  }
}
