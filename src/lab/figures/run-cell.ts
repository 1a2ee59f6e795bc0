import { asGodwitError } from "../../base/errors.ts";
import type { MigrationEvent } from "../../migration/events.ts";
import type { ClientSteps } from "../client-stream-steps.ts";
import type { LabResult } from "../lab-result.ts";
import { readLabSettings } from "../lab-settings.ts";
import { runLab } from "../run.ts";
import { type Cell, commandOf, engineVersionOf, runKeyOf, settingsKeyOf } from "./cell.ts";
import type { KeptRun } from "./kept-run.ts";

/** Boot, fill, move and check the largest guest of the grid on a slow day; longer means that something hangs. */
const RUN_TIMEOUT_MS = 600_000;

/** How a run is followed. */
export interface RunCellOptions {
  readonly signal: AbortSignal;
  onEvent?(event: MigrationEvent): void;
}

/**
 * Makes one run of a cell with the lab's ordinary measurement. A failure of the lab is in the run; only the end by
 * the signal is thrown.
 */
export async function runCell(cell: Cell, repeat: number, options: RunCellOptions): Promise<KeptRun> {
  const engineVersion = engineVersionOf(cell);
  const begin = performance.now();
  let clientSteps: ClientSteps | null = null;
  let dirtyBytesPerSecond: number | null = null;
  const events: MigrationEvent[] = [];
  let result: LabResult | null = null;
  let error: string | null = null;
  try {
    const results = await runLab(readLabSettings(cell.settings), {
      signal: AbortSignal.any([options.signal, AbortSignal.timeout(RUN_TIMEOUT_MS)]),
      onEvent: (event) => {
        if (event.type !== "report") events.push(event);
        options.onEvent?.(event);
      },
      ...(cell.extras.includes("client-steps")
        ? {
            onClientSteps: (steps: ClientSteps) => {
              clientSteps = steps;
            },
          }
        : {}),
      ...(cell.extras.includes("dirty-rate")
        ? {
            onDirtyRate: (rate: number) => {
              dirtyBytesPerSecond = rate;
            },
          }
        : {}),
    });
    result = results[0] ?? null;
  } catch (thrown) {
    options.signal.throwIfAborted();
    error = asGodwitError(thrown, "GODWIT_LAB").message;
  }
  return {
    key: runKeyOf(cell, engineVersion),
    settingsKey: settingsKeyOf(cell),
    engineVersion,
    contender: cell.contender,
    command: commandOf(cell),
    repeat,
    tookMs: Math.round(performance.now() - begin),
    result,
    error,
    dirtyBytesPerSecond,
    clientSteps,
    events: cell.extras.includes("timeline") ? events : null,
  };
}
