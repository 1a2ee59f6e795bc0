import { readFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

// Saves a third to a half of the time to start, here and in the processes that the agent starts. Not in the system's
// temporary folder, where others could put code for us to run.
const cache = fileURLToPath(new URL("../../node_modules/.cache/compile", import.meta.url));
enableCompileCache(cache);
process.env.NODE_COMPILE_CACHE ??= cache;
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
