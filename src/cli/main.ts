import { readFileSync } from "node:fs";
import { compileAhead, useCompileCache } from "../base/compile-cache.ts";

// An agent lives long and is in a hurry when a guest stands still; any other command is over before that would pay.
if (process.argv[2] === "agent") compileAhead();
useCompileCache();
const { runCommandLine } = await import("./program.ts");
const { processTerminal } = await import("./terminal.ts");

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

// A reader that has seen enough (`godwit … | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const code = await runCommandLine(process.argv.slice(2), processTerminal(), version);
// QEMUs that the agent started are still its children: they must not hold it. What was printed leaves first.
process.stdout.write("", () => process.exit(code));
