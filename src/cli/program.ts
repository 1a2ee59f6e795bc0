import { Command, CommanderError } from "commander";
import { asGodwitError } from "../base/errors.ts";
import { agentCommand } from "./agent.ts";
import { doctorCommand } from "./doctor.ts";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { inspectCommand } from "./inspect.ts";
import { metalCommand } from "./metal.ts";
import { migrateCommand } from "./migrate.ts";
import { migrationsCommand } from "./migrations.ts";
import { pkiCommand } from "./pki.ts";
import { describeError, printJson, type Terminal } from "./terminal.ts";
import { vmCommand } from "./vm.ts";

/**
 * Runs one command line (without `node` and the script) and resolves with its exit code; see `docs/cli.md`. Never
 * rejects: errors are printed, as JSON on stdout with `--json`.
 */
export async function runCommandLine(
  parameters: readonly string[],
  terminal: Terminal,
  version: string,
): Promise<number> {
  let code: number = exitCodes.ok;
  const exit = (wanted: number) => {
    code = wanted;
  };
  const program = new Command("godwit")
    .description("live migration for stock QEMU")
    .version(version)
    .showHelpAfterError("(--help shows what there is)");
  agentCommand(program, terminal);
  vmCommand(program, terminal);
  migrateCommand(program, terminal, exit);
  migrationsCommand(program, terminal, exit);
  metalCommand(program, terminal, exit);
  doctorCommand(program, terminal, exit);
  pkiCommand(program, terminal);
  inspectCommand(program, terminal);
  quieten(program, terminal);
  try {
    await program.parseAsync([...parameters], { from: "user" });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    }
    const error = asGodwitError(thrown, "GODWIT_INTERNAL", { side: "local" });
    if (parameters.includes("--json")) printJson(terminal, { error: error.toJSON() });
    else terminal.stderr.write(`${describeError(error.toJSON())}\n`);
    return exitCodeOf(error);
  }
}

/** Makes commander throw instead of ending the process, and write where we want it, for every command. */
function quieten(command: Command, terminal: Terminal): void {
  command.exitOverride();
  command.configureOutput({
    writeOut: (text) => void terminal.stdout.write(text),
    writeErr: (text) => void terminal.stderr.write(text),
  });
  for (const child of command.commands) quieten(child, terminal);
}
