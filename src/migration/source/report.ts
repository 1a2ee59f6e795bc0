import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import type { GodwitError } from "../../base/errors.ts";
import { formatVersion } from "../../qemu/version.ts";
import type { MigrationReport } from "../report.ts";
import type { SourceRun } from "./run.ts";

/** The name of the report in a migration's folder. */
export const REPORT_FILE = "report.json";

/** Makes the report of a migration that has ended, keeps it in its folder and as the last event. */
export function finishReport(
  run: SourceRun,
  outcome: MigrationReport["outcome"],
  error: GodwitError | null,
  agentCpuSeconds: number,
): MigrationReport {
  const { options, moments, counters } = run;
  const { startedMs, liveMs, stoppedMs, resumedMs } = moments;
  const endedMs = Date.now();
  const report: MigrationReport = {
    migrationId: options.migrationId,
    vm: options.machine.name,
    outcome,
    strategy: options.settings.strategy,
    source: options.hostName,
    destination: options.destination.name,
    startedAt: new Date(startedMs).toISOString(),
    totalMs: endedMs - startedMs,
    setupMs: (liveMs ?? endedMs) - startedMs,
    liveMs: liveMs === null ? 0 : Math.max(0, round((stoppedMs ?? endedMs) - liveMs)),
    downtimeMs: stoppedMs === null || resumedMs === null ? null : round(resumedMs - stoppedMs),
    downtime: downtimeParts(run),
    bytesOnWire: (counters?.bytesOnWire ?? 0) + (run.channel?.bytesOnWire ?? 0),
    pages: {
      total: counters?.totalPages ?? 0,
      sent: (counters?.sentPages ?? 0) - (counters?.sentZeroPages ?? 0),
      resent: counters?.resentPages ?? 0,
      differences: counters?.differencePages ?? 0,
      zero: (counters?.zeroPages ?? 0) - (counters?.freePages ?? 0) + (counters?.sentZeroPages ?? 0),
      free: counters?.freePages ?? 0,
      faulted: counters?.faults ?? 0,
    },
    freePages: run.looks.length === 0 ? null : freePagesFigures(run),
    postcopy: run.postcopy,
    opaque: run.opaque,
    rounds: run.rounds,
    sourceEnded: run.sourceEnded,
    agents: {
      sourceCpuSeconds: agentCpuSeconds + (counters?.cpuSeconds ?? 0),
      destinationCpuSeconds: run.destinationCpuSeconds,
    },
    settings: options.settings,
    versions: {
      godwit: options.softwareVersion,
      sourceQemu: formatVersion(options.machine.version),
      destinationQemu: run.destinationQemu,
      node: process.version,
    },
    error: error?.toJSON() ?? null,
  };
  writeFileAtomic.sync(join(options.folder, REPORT_FILE), `${JSON.stringify(report, null, 2)}\n`, {
    mode: 0o600,
  });
  run.log.finish(report);
  return report;
}

function downtimeParts(run: SourceRun): MigrationReport["downtime"] {
  const { stoppedMs, capturedMs, pagesMs, loadedMs, resumedMs } = run.moments;
  if (
    stoppedMs === null ||
    capturedMs === null ||
    pagesMs === null ||
    loadedMs === null ||
    resumedMs === null
  ) {
    return null;
  }
  return {
    captureMs: round(capturedMs - stoppedMs),
    pagesMs: round(pagesMs - capturedMs),
    loadMs: round(loadedMs - pagesMs),
    commitMs: round(resumedMs - loadedMs),
  };
}

function freePagesFigures({ looks, droppedCache }: SourceRun): MigrationReport["freePages"] {
  return {
    source: looks.at(-1)!.source,
    looks: looks.map((look) => ({
      ...look,
      tookMs: round(look.tookMs),
      scanMs: round(look.scanMs),
      lockMs: round(look.lockMs),
      longestLockMs: round(look.longestLockMs),
    })),
    droppedCache: droppedCache === null ? null : { ...droppedCache, tookMs: round(droppedCache.tookMs) },
    lockMs: round(looks.reduce((sum, { lockMs }) => sum + lockMs, 0)),
    listBytes: looks.reduce((sum, { listBytes }) => sum + listBytes, 0),
  };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
