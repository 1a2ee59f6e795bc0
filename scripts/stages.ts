import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { endAll, leftBehind, RUN_MARK } from "./left-behind.ts";

/** One check: commands that run one after the other until one fails. */
export interface Stage {
  readonly name: string;
  readonly commands: readonly (readonly string[])[];
}

/** How a stage came out. `not run`: an earlier one failed, or the run was ended. */
export interface StageResult {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "not run";
  readonly seconds: number;
}

/** How a run of stages is made. */
export interface RunOptions {
  readonly folder: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Go on after a stage that failed. */
  readonly keepGoing?: boolean;
  /** Ends the run: what runs is asked to end, what hasn't begun doesn't. */
  readonly signal?: AbortSignal;
  /** What outlives its stage has so long to end by itself; as `leftBehind` has it where nothing is said. */
  readonly graceMs?: number;
  /** Takes the lines about the run; the stages' own output goes straight to ours. */
  readonly say: (line: string) => void;
}

/** A stage that was asked to end may take this long to clean up: tests end their QEMUs. */
const END_TIMEOUT_MS = 20_000;

/**
 * Runs stages in order, each timed, and tells of all at the end. A stage whose processes outlive it has failed; they are
 * named and ended, also those of a run that was ended amid its tests.
 */
export async function runStages(stages: readonly Stage[], options: RunOptions): Promise<StageResult[]> {
  const results: StageResult[] = [];
  const mark = randomUUID();
  const marked = { ...options, environment: { ...options.environment, [RUN_MARK]: mark } };
  let stop = false;
  for (const { name, commands } of stages) {
    if (stop || options.signal?.aborted === true) {
      results.push({ name, outcome: "not run", seconds: 0 });
      continue;
    }
    options.say(`── ${name}`);
    const startedMs = performance.now();
    let passed = true;
    for (const command of commands) passed &&= await runCommand(command, marked);
    passed = (await endLeftBehind(mark, options)) && passed;
    const seconds = (performance.now() - startedMs) / 1000;
    results.push({ name, outcome: passed ? "passed" : "failed", seconds });
    stop = !passed && options.keepGoing !== true;
  }
  for (const { name, outcome, seconds } of results) {
    const time = outcome === "not run" ? "" : `${seconds.toFixed(1).padStart(8)} s`;
    options.say(`${outcome.padEnd(8)} ${name.padEnd(8)} ${time}`.trimEnd());
  }
  return results;
}

/** True where there was nothing to end. */
async function endLeftBehind(mark: string, options: RunOptions): Promise<boolean> {
  const found = await leftBehind(mark, options.graceMs);
  for (const { pid, command } of found) options.say(`left behind and ended: process ${pid}, ${command}`);
  endAll(found);
  return found.length === 0;
}

function runCommand([program, ...given]: readonly string[], options: RunOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program!, given, {
      cwd: options.folder,
      env: options.environment,
      stdio: ["ignore", "inherit", "inherit"],
    });
    const end = () => endChild(child);
    options.signal?.addEventListener("abort", end, { once: true });
    child.once("error", (error) => {
      options.say(`${program}: ${error.message}`);
      resolve(false);
    });
    child.once("exit", (code) => {
      options.signal?.removeEventListener("abort", end);
      resolve(code === 0);
    });
  });
}

function endChild(child: ChildProcess): void {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
  child.once("exit", () => clearTimeout(timer));
}
