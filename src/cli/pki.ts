import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { GodwitError } from "../base/errors.ts";
import {
  type CertificateDescription,
  describeCertificate,
  initAuthority,
  issueHostFiles,
  issueOperatorFiles,
  type WrittenFiles,
} from "../wire/pki/index.ts";
import { printJson, printLine, type Terminal } from "./terminal.ts";

/** The folder the other commands and the agent read by default. */
const DEFAULT_FOLDER = "/etc/godwit/pki";

interface PkiOptions {
  readonly pki?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** `godwit pki init`, `pki issue`, `pki show`. */
export function pkiCommand(program: Command, terminal: Terminal): void {
  const pki = program.command("pki").description("certificates for agents and operators");

  withFolder(pki.command("init"), terminal)
    .description("create the authority that all hosts share: ca.crt and ca.key")
    .option("--name <name>", "the authority's name", "Godwit authority")
    .action(async (options: PkiOptions & { name: string }) => {
      const written = await initAuthority(folderOf(options, terminal), options.name, force(options));
      await report(written, options, terminal, [
        "keep ca.key where hosts are set up; hosts need only ca.crt and their own two files",
      ]);
    });

  withFolder(pki.command("issue"), terminal)
    .description("issue a host's certificate, or with --operator a person's")
    .argument("[host]", "the host's name, as other hosts reach it")
    .option("--address <address...>", "further IP addresses and DNS names the host is reached at")
    .option("--operator <name>", "for somebody who uses the agents' API: never accepted as a host")
    .action(
      async (
        host: string | undefined,
        options: PkiOptions & { address?: readonly string[]; operator?: string },
      ) => {
        const folder = folderOf(options, terminal);
        const { operator, address } = options;
        if (
          (host === undefined) === (operator === undefined) ||
          (operator !== undefined && address !== undefined)
        ) {
          throw new GodwitError(
            "GODWIT_USAGE",
            "give either a host's name or --operator NAME without addresses",
            {
              advice: "godwit pki issue HOST --address 10.0.0.1, or godwit pki issue --operator NAME",
            },
          );
        }
        const written =
          operator === undefined
            ? await issueHostFiles(folder, host as string, address, force(options))
            : await issueOperatorFiles(folder, operator, force(options));
        await report(written, options, terminal, []);
      },
    );

  pki
    .command("show")
    .description("what a certificate says")
    .argument("<file>")
    .option("--json", "print JSON")
    .action(async (file: string, options: PkiOptions) => {
      const description = describeCertificate(await readText(file));
      if (options.json === true) printJson(terminal, description);
      else for (const line of describe(description)) printLine(terminal, line);
    });
}

function withFolder(command: Command, terminal: Terminal): Command {
  const folder = terminal.environment.GODWIT_PKI ?? DEFAULT_FOLDER;
  return command
    .option("--pki <folder>", `folder of the certificates ($GODWIT_PKI; here ${folder})`)
    .option("--force", "replace files that exist: what they were used for stops working")
    .option("--json", "print JSON");
}

function folderOf(options: PkiOptions, terminal: Terminal): string {
  return options.pki ?? terminal.environment.GODWIT_PKI ?? DEFAULT_FOLDER;
}

function force(options: PkiOptions): { readonly force: boolean } {
  return { force: options.force === true };
}

async function report(
  written: WrittenFiles,
  options: PkiOptions,
  terminal: Terminal,
  advice: readonly string[],
): Promise<void> {
  const description = describeCertificate(await readText(written.certPath));
  if (options.json === true) return printJson(terminal, { ...written, ...description });
  for (const line of describe(description)) printLine(terminal, line);
  printLine(terminal, `wrote     ${written.certPath}`);
  printLine(terminal, `          ${written.keyPath} (secret)`);
  for (const line of advice) printLine(terminal, line);
}

function describe(description: CertificateDescription): string[] {
  const kind = description.isAuthority ? "authority" : description.kind;
  return [
    `kind      ${kind}`,
    `subject   ${description.subject}`,
    `issuer    ${description.issuer}`,
    `good for  ${description.names.join(", ") || "no address"}`,
    `valid     ${description.notBefore.toISOString()} to ${description.notAfter.toISOString()}`,
    `sha256    ${description.fingerprint}`,
  ];
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    throw new GodwitError(
      "GODWIT_CREDENTIALS",
      `can't read ${path}: ${(thrown as NodeJS.ErrnoException).code}`,
      {
        advice: "check the path",
        cause: thrown,
      },
    );
  }
}
