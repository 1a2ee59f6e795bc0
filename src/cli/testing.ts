import { Writable } from "node:stream";
import { runCommandLine } from "./program.ts";
import type { Terminal } from "./terminal.ts";

/** A terminal that keeps what is written, and whose Ctrl-C the test presses. */
export interface TestTerminal extends Terminal {
  out(): string;
  err(): string;
  interrupt(): void;
}

/** Makes a terminal; `interactive` draws a progress bar into stderr. */
export function testTerminal(
  environment: Record<string, string> = {},
  options: { interactive?: boolean } = {},
): TestTerminal {
  const written = { out: "", err: "" };
  const listeners = new Set<() => void>();
  const sink = (to: "out" | "err") => {
    const stream = new Writable({
      write(chunk, _encoding, done) {
        written[to] += String(chunk);
        done();
      },
    });
    return Object.assign(stream, { isTTY: options.interactive === true, columns: 120 });
  };
  return {
    stdout: sink("out"),
    stderr: sink("err"),
    interactive: options.interactive === true,
    environment,
    onInterrupt(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    out: () => written.out,
    err: () => written.err,
    interrupt: () => {
      for (const listener of listeners) listener();
    },
  };
}

/** Runs a command line and gives what it printed. */
export async function run(
  words: readonly string[],
  environment: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  const terminal = testTerminal(environment);
  const code = await runCommandLine(words, terminal, "1.2.3");
  return { code, out: terminal.out(), err: terminal.err() };
}
