import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import type { MachineInfo } from "../agent/schemas.ts";
import { asGodwitError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { printJson, printLine, printTable, type Terminal } from "./terminal.ts";
import { formatAge } from "./text.ts";

/** `godwit vm start|stop|list|show|delete`. */
export function vmCommand(program: Command, terminal: Terminal): void {
  const vm = program.command("vm").description("the VMs of one host");
  withConnection(vm.command("start"))
    .description("start the VM that a machine file describes")
    .argument("<file>", "machine file (YAML); its relative paths are relative to it")
    .action(async (file: string, options: ConnectionOptions) => {
      const text = readMachineText(file);
      await withClient(options, terminal, async (client) => {
        const machine = await client.startMachine(text, { baseFolder: dirname(resolve(file)) });
        for (const warning of machine.warnings) terminal.stderr.write(`warning: ${warning}\n`);
        show(terminal, options, machine, `${machine.name} is ${machine.state}, process ${machine.pid}`);
      });
    });
  withConnection(vm.command("stop"))
    .description("end a VM's QEMU")
    .argument("<name>")
    .action(async (name: string, options: ConnectionOptions) => {
      await withClient(options, terminal, async (client) => {
        const machine = await client.stopMachine(name);
        show(terminal, options, machine, `${machine.name} is ${machine.state}`);
      });
    });
  withConnection(vm.command("list"))
    .description("every VM of the host")
    .action(async (options: ConnectionOptions) => {
      await withClient(options, terminal, async (client) => {
        const machines = await client.listMachines();
        if (options.json === true) return printJson(terminal, machines);
        const rows = machines.map((machine) => [
          machine.name,
          machine.state,
          formatAge(machine.since, Date.now()),
          formatBytes(machine.memoryBytes),
          String(machine.vcpus),
          machine.qemuVersion ?? "-",
          String(machine.pid ?? "-"),
          machine.movedTo === null ? (machine.reason ?? "") : `moved to ${machine.movedTo}`,
        ]);
        printTable(terminal, ["NAME", "STATE", "FOR", "MEMORY", "VCPUS", "QEMU", "PID", ""], rows);
      });
    });
  withConnection(vm.command("show"))
    .description("one VM")
    .argument("<name>")
    .action(async (name: string, options: ConnectionOptions) => {
      await withClient(options, terminal, async (client) => {
        const machine = await client.machine(name);
        show(terminal, options, machine, describeMachine(machine));
      });
    });
  withConnection(vm.command("delete"))
    .description("forget a VM that does not run on the host, with its folder")
    .argument("<name>")
    .action(async (name: string, options: ConnectionOptions) => {
      await withClient(options, terminal, async (client) => {
        await client.deleteMachine(name);
        if (options.json === true) printJson(terminal, { deleted: name });
        else printLine(terminal, `${name} is forgotten`);
      });
    });
}

function show(terminal: Terminal, options: ConnectionOptions, machine: MachineInfo, text: string): void {
  if (options.json === true) printJson(terminal, machine);
  else printLine(terminal, text);
}

function describeMachine(machine: MachineInfo): string {
  const lines: [string, string | number | null][] = [
    ["name", machine.name],
    ["state", machine.state],
    ["since", machine.since],
    ["why", machine.reason],
    ["moved to", machine.movedTo],
    ["memory", formatBytes(machine.memoryBytes)],
    ["vcpus", machine.vcpus],
    ["accelerator", machine.accelerator],
    ["QEMU", machine.qemuVersion],
    ["process", machine.pid],
    ["log", machine.logPath],
    ["migration", machine.migrationId],
    ...machine.warnings.map((warning): [string, string] => ["warning", warning]),
  ];
  return lines
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name.padEnd(11)} ${value}`)
    .join("\n");
}

function readMachineText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw asGodwitError(error, "GODWIT_MACHINE_FILE", { side: "local", advice: "name a machine file" });
  }
}
