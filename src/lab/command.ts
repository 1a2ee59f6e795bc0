import { execFile, spawnSync } from "node:child_process";
import { GodwitError } from "../base/errors.ts";

/** `ip` and `tc` answer within milliseconds; ten seconds mean that the kernel or the machine is stuck. */
const COMMAND_TIMEOUT_MS = 10_000;

/** What {@link runCommand} may be given. */
export interface CommandOptions {
  /** Text for its standard input. */
  readonly input?: string;
  readonly signal?: AbortSignal;
}

/**
 * Runs a short system command to its end and gives its standard output.
 * @throws GodwitError `GODWIT_LAB_COMMAND` with what it wrote to standard error
 */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 16 * 1024 ** 2, signal: options.signal },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else if (options.signal?.aborted === true) reject(options.signal.reason);
        else reject(commandFailed(command, args, stderr || error.message));
      },
    );
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.input ?? "");
  });
}

/** As {@link runCommand}, for teardown while the process exits, when nothing asynchronous runs any more. */
export function runCommandSync(command: string, args: readonly string[]): string {
  const result = spawnSync(command, args, { timeout: COMMAND_TIMEOUT_MS, encoding: "utf8" });
  if (result.status === 0) return result.stdout;
  throw commandFailed(command, args, result.stderr || result.error?.message || "it was killed");
}

function commandFailed(command: string, args: readonly string[], why: string): GodwitError {
  const shown = `${command} ${args.join(" ")}`;
  return new GodwitError("GODWIT_LAB_COMMAND", `${shown.slice(0, 200)}: ${why.trim().slice(0, 500)}`, {
    side: "local",
    advice: "the lab needs iproute2, util-linux and root for network namespaces; run npm run setup",
  });
}
