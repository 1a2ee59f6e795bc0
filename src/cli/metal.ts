import type { Command } from "commander";
import { deviceList, deviceTables } from "../metal/index.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { moveCommand } from "./migrate.ts";
import { printJson, printLine, type Terminal } from "./terminal.ts";

/** `godwit metal migrate|capture|devices`. */
export function metalCommand(program: Command, terminal: Terminal, exit: (code: number) => void): void {
  const metal = program
    .command("metal")
    .description("machines whose devices are read and rebuilt as software does");
  const migrate = metal.command("migrate").description("move a physical machine to another host");
  moveCommand(migrate, terminal, exit, (settings) => ({ ...settings, metal: { leaveOut: [] } }));
  withConnection(metal.command("capture"))
    .description("read a machine's devices, for which it is held for some milliseconds, and let it go on")
    .argument("<vm>", "a VM of the agent's host that was started as a physical machine")
    .option("--show", "print all that was read, not only which devices")
    .action(async (name: string, options: ConnectionOptions & { readonly show?: boolean }) => {
      await withClient(options, terminal, async (client) => {
        const captured = await client.captureDevices(name);
        const keys = Object.keys(captured.devices);
        if (options.json === true) printJson(terminal, options.show === true ? captured : { devices: keys });
        else if (options.show === true) printLine(terminal, JSON.stringify(captured, null, 2));
        else printLine(terminal, keys.join("\n"));
      });
    });
  metal
    .command("devices")
    .description("the devices that can be moved, with all their registers")
    .option("--json", "print JSON")
    .action((options: { readonly json?: boolean }) => {
      if (options.json === true) printJson(terminal, deviceList());
      else printLine(terminal, deviceTables());
    });
}
