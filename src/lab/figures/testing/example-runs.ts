import type { MigrationEvent } from "../../../migration/events.ts";
import { STEP_MS } from "../../client-stream-steps.ts";
import { readLabSettings } from "../../lab-settings.ts";
import { exampleResult } from "../../testing/example-result.ts";
import { type Cell, commandOf, runKeyOf, settingsKeyOf } from "../cell.ts";
import type { KeptRun } from "../kept-run.ts";

const VERSION = "example 1";

/** A run of a cell as a simple model has it: time is bytes by bandwidth, and a little more each repeat. */
export function exampleRun(cell: Cell, repeat = 1, changes: Partial<KeptRun> = {}): KeptRun {
  const settings = readLabSettings(cell.settings);
  const link = settings.linkBytesPerSecond ?? 1.25e9;
  const godwit = settings.engine === "godwit";
  const bytes = settings.holdBytes * (godwit ? 0.4 : 1);
  const liveMs = (bytes / link) * 1000 + (godwit ? 1500 : 100);
  const totalMs = liveMs * (1 + settings.dirtyBytesPerSecond / 200e6 + repeat / 50) + (godwit ? 800 : 0);
  const copies = settings.strategy === "stop-and-copy";
  const downtimeMs = copies ? liveMs : 80 + settings.dirtyBytesPerSecond / 4e5;
  const startedAt = "2026-01-01T00:00:00.000Z";
  const result = exampleResult({
    engine: settings.engine,
    strategy: settings.strategy,
    startedAt,
    totalMs,
    liveMs: copies || settings.strategy === "post-copy" ? 0 : liveMs,
    downtimeMs,
    switchoverPauseSeenMs: downtimeMs + 30,
    bytesOnWire: Math.round(bytes),
    load: {
      holdBytes: settings.holdBytes,
      dirtyBytesPerSecond: settings.dirtyBytesPerSecond,
      dirtyAreaBytes: settings.hotBytes,
      readBytesPerSecond: 0,
    },
  });
  return {
    key: runKeyOf(cell, VERSION),
    settingsKey: settingsKeyOf(cell),
    engineVersion: VERSION,
    contender: cell.contender,
    command: commandOf(cell),
    repeat,
    tookMs: totalMs + 10_000,
    result,
    error: null,
    dirtyBytesPerSecond: cell.extras.includes("dirty-rate") ? Math.min(settings.hotBytes, 120e6) : null,
    clientSteps: cell.extras.includes("client-steps") ? exampleSteps(startedAt, totalMs, downtimeMs) : null,
    events: cell.extras.includes("timeline") ? exampleEvents(totalMs, settings.strategy) : null,
    ...changes,
  };
}

/** The same of a move that failed. */
export function failedRun(cell: Cell, repeat = 1): KeptRun {
  const run = exampleRun(cell, repeat);
  const error = {
    code: "GODWIT_LAB_QEMU_MOVE",
    message: "QEMU's migration was not done after 60000 ms",
  } as const;
  const noTimes = { totalMs: null, liveMs: null, downtimeMs: null, switchoverPauseSeenMs: null };
  return { ...run, result: { ...run.result!, ...noTimes, outcome: "failed", guestVerified: true, error } };
}

function exampleSteps(startedAt: string, totalMs: number, downtimeMs: number) {
  const count = Math.ceil((totalMs + 2400) / STEP_MS);
  const stopAt = Math.floor((totalMs + 1500 - downtimeMs) / STEP_MS);
  const steps = Array.from({ length: count }, (_, at) => at);
  const empty = (at: number) => at >= stopAt && at < stopAt + Math.ceil(downtimeMs / STEP_MS);
  return {
    fromMs: Date.parse(startedAt) - 1500,
    stepMs: STEP_MS,
    receivedBytes: steps.map((at) => (empty(at) ? 0 : 40_000 + ((at * 7919) % 4000))),
    retransmittedSegments: steps.map((at) => (at === stopAt + 1 ? 2 : 0)),
    duplicateSegments: steps.map((at) => (at === stopAt + Math.ceil(downtimeMs / STEP_MS) ? 4 : 0)),
  };
}

function exampleEvents(totalMs: number, strategy: string): MigrationEvent[] {
  const migrationId = "example";
  const phase = (atMs: number, name: "setup" | "live" | "switchover" | "remainder" | "completed") =>
    ({ atMs, migrationId, type: "phase", phase: name }) as const;
  const stopMs = totalMs * 0.7;
  const count = Math.ceil(totalMs / 250);
  const progress = Array.from({ length: count }, (_, at): MigrationEvent => {
    const atMs = at * 250;
    const live = atMs < stopMs;
    return {
      atMs,
      migrationId,
      type: "progress",
      phase: live ? "live" : "remainder",
      owedPages: Math.max(0, Math.round(60_000 * (1 - atMs / totalMs))),
      totalPages: 131_072,
      sentPages: at * 100,
      bytesOnWire: at * 1e6,
      wireBytesPerSecond: 80e6 + (at % 3) * 1e6,
      pagesPerSecond: 20_000,
      dirtyPagesPerSecond: live ? 14_000 : 0,
      rounds: 1 + Math.floor(at / 8),
      faultedPages: live || strategy === "pre-copy" ? 0 : at * 3,
      leftMs: null,
      leftReason: "an example",
    };
  });
  return [
    phase(0, "setup"),
    phase(Math.min(800, stopMs / 2), "live"),
    phase(stopMs, "switchover"),
    ...(strategy === "pre-copy" ? [] : [phase(stopMs + 150, "remainder")]),
    ...progress.filter(({ atMs }) => atMs > 800),
    phase(totalMs, "completed"),
  ].toSorted((one, other) => one.atMs - other.atMs);
}
