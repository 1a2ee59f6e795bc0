/** A call from the parent. */
export interface HelperCall {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
}

/** What a helper tells its parent: that it is ready, the answer to a call, or something unasked. */
export type HelperMessage =
  | { readonly kind: "ready"; readonly value: unknown }
  | { readonly kind: "answer"; readonly id: number; readonly value?: unknown; readonly error?: string }
  | { readonly kind: "notice"; readonly value: unknown };

/** What a helper can be asked, by name. */
export type HelperMethods = Readonly<Record<string, (argument: never) => unknown>>;

/**
 * Makes this process a helper of the one that started it with an IPC channel: answers calls, and ends when the
 * parent is gone, however it went.
 */
export function serveHelper(methods: HelperMethods, ready: unknown): void {
  process.on("disconnect", () => process.exit(0));
  // A terminal's Ctrl-C goes to the whole group; the parent still needs us while it tears down.
  process.on("SIGINT", () => {});
  process.on("message", async (call: HelperCall) => {
    try {
      const method = methods[call.method] as ((argument: unknown) => unknown) | undefined;
      if (method === undefined) throw new Error(`no method ${call.method}`);
      tell({ kind: "answer", id: call.id, value: await method(call.argument) });
    } catch (error) {
      tell({ kind: "answer", id: call.id, error: error instanceof Error ? error.message : String(error) });
    }
  });
  tell({ kind: "ready", value: ready });
}

/** Tells the parent something unasked. */
export function notice(value: unknown): void {
  tell({ kind: "notice", value });
}

function tell(message: HelperMessage): void {
  if (process.connected) process.send?.(message);
}
