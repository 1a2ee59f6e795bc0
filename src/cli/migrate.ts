import type { Command } from "commander";
import type { AgentClient } from "../agent/client.ts";
import type { ErrorRecord } from "../base/errors.ts";
import type { MigrationSettings } from "../migration/settings.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { exitCodeOfReport, exitCodes } from "./exit-codes.ts";
import { followMigration } from "./follow.ts";
import { parseHostAndPort } from "./host-and-port.ts";
import { progressView } from "./progress-view.ts";
import { type SettingsOptions, settingsOf, withSettings } from "./settings-options.ts";
import { describeError, printJson, printLine, type Terminal } from "./terminal.ts";

interface MigrateOptions extends ConnectionOptions, SettingsOptions {
  readonly detach?: boolean;
  readonly peerName?: string;
}

/** `godwit migrate VM HOST[:PORT]`. */
export function migrateCommand(program: Command, terminal: Terminal, exit: (code: number) => void): void {
  const command = program.command("migrate").description("move a running VM to another host");
  moveCommand(command, terminal, exit, (settings) => settings);
}

/** A command that moves a VM; `adjust` has the last word on the settings that its options say. */
export function moveCommand(
  command: Command,
  terminal: Terminal,
  exit: (code: number) => void,
  adjust: (settings: MigrationSettings) => MigrationSettings,
): void {
  withSettings(withConnection(command))
    .argument("<vm>", "a VM of the agent's host")
    .argument("<host>", "where to: HOST or HOST:PORT of the other agent's wire")
    .option("--peer-name <name>", "the name in the other agent's certificate, when it is not HOST")
    .option("--detach", "begin it and leave it to the agent")
    .action(async (vm: string, host: string, options: MigrateOptions) => {
      const destination = {
        ...parseHostAndPort(host),
        ...(options.peerName === undefined ? {} : { name: options.peerName }),
      };
      const settings = adjust(settingsOf(options));
      await withClient(options, terminal, async (client) => {
        const migration = await client.migrate({ machine: vm, destination, settings });
        if (options.detach === true) {
          if (options.json === true) printJson(terminal, migration);
          else printLine(terminal, migration.id);
          return;
        }
        if (options.json !== true) {
          terminal.stderr.write(`migration ${migration.id}: ${vm} to ${migration.peer}\n`);
        }
        exit(await watch(client, migration.id, options, terminal));
      });
    });
}

/** Follows a migration to its report. The first Ctrl-C cancels it, the second only stops watching. */
async function watch(
  client: AgentClient,
  id: string,
  options: ConnectionOptions,
  terminal: Terminal,
): Promise<number> {
  const view = progressView(terminal, options.json === true);
  const detach = new AbortController();
  let interrupts = 0;
  const stopListening = terminal.onInterrupt(() => {
    interrupts += 1;
    if (interrupts > 1) return detach.abort();
    view.note("cancelling; Ctrl-C again stops watching and leaves it to the agent");
    client.cancel(id).then(
      ({ result }) => {
        if (result === "too-late") {
          view.note("too late to cancel: the destination has the VM by now; waiting for the end");
        }
      },
      (error) => view.note(describeError(error)),
    );
  });
  try {
    const report = await followMigration(client, id, (event) => view.show(event), detach.signal);
    view.end();
    if (report === null) {
      const { state } = await vmState(client, id);
      terminal.stderr.write(`migration ${id} goes on without us; the VM is ${state} at the source now\n`);
      terminal.stderr.write(`see \`godwit migrations ${id}\`\n`);
      return exitCodes.interrupted;
    }
    if (report.error !== null && report.outcome !== "cancelled" && options.json !== true) {
      terminal.stderr.write(`${describeError(report.error as ErrorRecord)}\n`);
    }
    const code = exitCodeOfReport(report);
    return interrupts > 0 && code === exitCodes.cancelled ? exitCodes.interrupted : code;
  } finally {
    view.end();
    stopListening();
  }
}

async function vmState(client: AgentClient, id: string): Promise<{ state: string }> {
  try {
    const { machine } = await client.migration(id);
    return await client.machine(machine);
  } catch {
    return { state: "in an unknown state" };
  }
}
