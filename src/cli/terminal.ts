import type { Writable } from "node:stream";
import type { ErrorRecord } from "../base/errors.ts";

/** Where a command reads its surroundings and writes its output; tests give one of their own. */
export interface Terminal {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** stderr is a terminal, so that a bar may be drawn. */
  readonly interactive: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Calls back on each Ctrl-C until the function it returns is called. */
  onInterrupt(listener: () => void): () => void;
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    interactive: process.stderr.isTTY === true,
    environment: process.env,
    onInterrupt(listener) {
      process.on("SIGINT", listener);
      return () => process.off("SIGINT", listener);
    },
  };
}

/** Writes a line of result. */
export function printLine(terminal: Terminal, text: string): void {
  terminal.stdout.write(`${text}\n`);
}

/** Writes a value as one line of JSON. */
export function printJson(terminal: Terminal, value: unknown): void {
  printLine(terminal, JSON.stringify(value));
}

/** Writes rows under headings, in columns as wide as they need. */
export function printTable(
  terminal: Terminal,
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of [headings, ...rows]) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
    printLine(terminal, line.trimEnd());
  }
}

/** An error for people: what happened, where, what the VM does and what to do. */
export function describeError(error: ErrorRecord): string {
  const lines = [`error: ${error.message}`, `  code    ${error.code}`];
  if (error.side !== undefined && error.side !== "local") lines.push(`  side    ${error.side}`);
  if (error.phase !== undefined) lines.push(`  phase   ${error.phase}`);
  if (error.vmState !== undefined) lines.push(`  VM      ${error.vmState}`);
  if (error.advice !== undefined) lines.push(`  do      ${error.advice}`);
  return lines.join("\n");
}
