import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { GodwitError } from "../base/errors.ts";

/** The guest's load generator run as a program of this host, for tests. */
export interface LoadProcess {
  readonly pid: number;
  /** What it said when it was ready, among it its ports. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Ends it and resolves when it has gone. */
  stop(): Promise<void>;
}

/**
 * Starts `load serve` or `load echo` on 127.0.0.1, on ports that the kernel chooses.
 *
 * @throws GodwitError `GODWIT_LOAD_PROCESS` when it ends instead of getting ready; the message has its complaint.
 */
export async function startLoad(
  binary: string,
  mode: "serve" | "echo",
  settings: readonly string[] = [],
): Promise<LoadProcess> {
  const ports = mode === "serve" ? ["control-port=0"] : ["echo-port=0", "stream-port=0"];
  const child = spawn(binary, [mode, "bind=127.0.0.1", ...ports, ...settings], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  for await (const line of createInterface(child.stdout)) {
    return { pid: child.pid!, ready: JSON.parse(line), stop: () => stop(child) };
  }
  await once(child, "close");
  throw new GodwitError("GODWIT_LOAD_PROCESS", `the load generator ended: ${complaint.trim()}`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
