import { GodwitError } from "../base/errors.ts";

/** How long an orderly teardown may take; then even the lab gives up and the next run sweeps. */
const TEARDOWN_TIMEOUT_MS = 60_000;

/**
 * A signal that aborts on SIGINT and SIGTERM, so that everything awaited with it ends and the teardown runs. A
 * second one ends the process at once (its `exit` handlers still remove what they can).
 */
export function interruption(): { signal: AbortSignal; exitCode(): number | null; [Symbol.dispose](): void } {
  const controller = new AbortController();
  let received: NodeJS.Signals | null = null;
  const onSignal = (name: NodeJS.Signals) => {
    if (received !== null) process.exit(codeOf(name));
    received = name;
    process.stderr.write(`${name}: taking everything down\n`);
    setTimeout(() => process.exit(codeOf(name)), TEARDOWN_TIMEOUT_MS).unref();
    controller.abort(new GodwitError("GODWIT_ABORTED", `ended by ${name}`, { side: "local" }));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    exitCode: () => (received === null ? null : codeOf(received)),
    [Symbol.dispose]() {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}

function codeOf(name: NodeJS.Signals): number {
  return name === "SIGINT" ? 130 : 143;
}
