import { type Command, Option } from "commander";
import type { AgentClient } from "../agent/client.ts";
import { type ErrorRecord, GodwitError } from "../base/errors.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { exitCodeOfReport, exitCodes } from "./exit-codes.ts";
import { followMigration } from "./follow.ts";
import { progressView } from "./progress-view.ts";
import { describeError, printJson, printLine, printTable, type Terminal } from "./terminal.ts";
import { describeReport, formatAge } from "./text.ts";

interface MigrationsOptions extends ConnectionOptions {
  readonly follow?: boolean;
}

/** `godwit migrations [ID]` and `godwit cancel ID`. */
export function migrationsCommand(program: Command, terminal: Terminal, exit: (code: number) => void): void {
  withConnection(program.command("migrations"))
    .description("the migrations of a host, or one of them")
    .argument("[id]", "show this one; its report when it has ended")
    .option("--follow", "show its events from the first on until its report")
    .action(async (id: string | undefined, options: MigrationsOptions) => {
      await withClient(options, terminal, async (client) => {
        if (id === undefined) await list(client, options, terminal);
        else if (options.follow === true) exit(await follow(client, id, options, terminal));
        else await show(client, id, options, terminal);
      });
    });
  withConnection(program.command("cancel"))
    .description("stop a migration before its commit; the VM goes on at the source")
    .argument("<id>")
    .action(async (id: string, options: ConnectionOptions) => {
      await withClient(options, terminal, async (client) => {
        const { result } = await client.cancel(id);
        if (options.json === true) printJson(terminal, { id, result });
        else if (result === "cancelled") printLine(terminal, `migration ${id} is cancelled`);
        else printLine(terminal, `too late: the commit of ${id} was sent, the destination has the VM`);
        if (result === "too-late") exit(exitCodes.failed);
      });
    });
  withConnection(program.command("resolve"))
    .description("decide who has a VM in doubt, when its destination is lost for good")
    .argument("<id>", "the migration, at the source")
    .addOption(
      new Option("--here", "the destination never ran it and never will: it goes on here").conflicts("there"),
    )
    .addOption(new Option("--there", "it is the destination's: end its QEMU here"))
    .action(async (id: string, options: ConnectionOptions & { here?: boolean; there?: boolean }) => {
      if (options.here !== true && options.there !== true) {
        throw new GodwitError("GODWIT_USAGE", "say --here or --there: nobody else knows", {
          advice: "make sure first that the destination's QEMU has ended; see docs/commit.md",
        });
      }
      await withClient(options, terminal, async (client) => {
        const { machine, peer } = await client.resolve(id, options.here === true ? "here" : "there");
        const { state } = await client.machine(machine);
        if (options.json === true) printJson(terminal, { id, machine, state });
        else if (options.here === true) printLine(terminal, `${machine} is ${state} on this host`);
        else if (state === "departed")
          printLine(terminal, `${machine} is left to ${peer}; its QEMU here has ended`);
        else
          printLine(terminal, `${machine} is left to ${peer}; its QEMU here keeps the pages that it lacks`);
      });
    });
}

async function list(client: AgentClient, options: ConnectionOptions, terminal: Terminal): Promise<void> {
  const migrations = await client.listMigrations();
  if (options.json === true) return printJson(terminal, migrations);
  const rows = migrations.map((migration) => [
    migration.id,
    migration.machine,
    `${migration.direction === "outgoing" ? "to" : "from"} ${migration.peer}`,
    `${formatAge(migration.startedAt, Date.now())} ago`,
    migration.outcome ?? (migration.active ? (migration.phase ?? "beginning") : "no report"),
  ]);
  printTable(terminal, ["ID", "VM", "PEER", "BEGUN", "STATE"], rows);
}

async function show(
  client: AgentClient,
  id: string,
  options: ConnectionOptions,
  terminal: Terminal,
): Promise<void> {
  const migration = await client.migration(id);
  if (migration.outcome === null) {
    if (options.json === true) return printJson(terminal, migration);
    const what = migration.active ? `under way, ${migration.phase ?? "beginning"}` : "ended without a report";
    return printLine(terminal, `${id}: ${migration.machine}, ${migration.direction}, ${what}`);
  }
  const report = await client.report(id);
  if (options.json === true) return printJson(terminal, report);
  printLine(terminal, describeReport(report));
  if (report.error !== null && report.outcome !== "cancelled")
    printLine(terminal, describeError(report.error as ErrorRecord));
}

async function follow(
  client: AgentClient,
  id: string,
  options: ConnectionOptions,
  terminal: Terminal,
): Promise<number> {
  const view = progressView(terminal, options.json === true);
  const detach = new AbortController();
  const stopListening = terminal.onInterrupt(() => detach.abort());
  try {
    const report = await followMigration(client, id, (event) => view.show(event), detach.signal);
    return report === null ? exitCodes.interrupted : exitCodeOfReport(report);
  } finally {
    view.end();
    stopListening();
  }
}
