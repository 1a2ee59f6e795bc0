import { asGodwitError, GodwitError } from "../../base/errors.ts";
import { isEvent } from "../../qemu/qmp-events.ts";
import type { SourceRun } from "./run.ts";

/**
 * Whether opaque devices can be moved by what was asked for, before anything moves.
 * @throws GodwitError `GODWIT_METAL_STRATEGY` where the guest would resume before it has its pages
 */
export async function prepareOpaque(run: SourceRun): Promise<void> {
  const { opaque, settings } = run.options;
  if (opaque === undefined) return;
  if (run.strategy.postcopy) {
    throw new GodwitError(
      "GODWIT_METAL_STRATEGY",
      `${settings.strategy} can't move devices that are rebuilt`,
      {
        advice: "use pre-copy or stop-and-copy: rebuilding needs the guest's memory",
      },
    );
  }
  await opaque.prepare();
}

/**
 * Has the devices read when QEMU has stopped the guest and before it saves anything of it, its last dirty pages
 * included: QEMU waits there for us (`pause-before-switchover`).
 */
export function captureAtSwitchover(run: SourceRun): void {
  const { opaque, machine } = run.options;
  if (opaque === undefined) return;
  const captured = Promise.withResolvers<Uint8Array>();
  captured.promise.catch(() => {});
  run.opaqueCaptured = captured.promise;
  run.watch((event) => {
    if (!isEvent(event, "MIGRATION") || event.data.status !== "pre-switchover") return;
    const startedMs = performance.now();
    const capture = async () => {
      const state = await opaque.capture();
      run.opaque = { captureMs: performance.now() - startedMs, bytes: state.length, rebuildMs: 0 };
      captured.resolve(state);
      await machine.qmp.execute("migrate-continue", { state: "pre-switchover" }, { signal: run.signal });
    };
    capture().catch((thrown) => run.fail(asGodwitError(thrown, "GODWIT_METAL_ACCESS")));
  });
}

/** Before the guest goes on here: the devices as they were. */
export async function undoOpaque(run: SourceRun): Promise<void> {
  await run.options.opaque?.undo();
}
