import { formatBytes } from "../base/units.ts";
import type { MigrationEvent } from "../migration/events.ts";
import type { MigrationReport } from "../migration/report.ts";

/** Progress as it comes in the event log. */
export type Progress = Extract<MigrationEvent, { type: "progress" }>;

/** A length of time for people: `30 ms`, `4.2 s`, `3 min 20 s`. */
export function formatMs(milliseconds: number): string {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** A count for people: `1,234,567`. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** What is known of the time left, with why it is what it is. */
export function describeTimeLeft({ leftMs, leftReason }: Progress): string {
  const left = leftMs === null ? "time left unknown" : `${formatMs(leftMs)} left`;
  return leftReason === "" ? left : `${left} (${leftReason})`;
}

/** One progress event as the rest of a line behind its phase. */
export function describeProgress(progress: Progress): string {
  return [
    `${formatBytes(progress.wireBytesPerSecond)}/s`,
    `${formatCount(progress.owedPages)} of ${formatCount(progress.totalPages)} pages owed`,
    ...(progress.rounds > 1 ? [`round ${progress.rounds}`] : []),
    describeTimeLeft(progress),
  ].join(", ");
}

/** What a migration came to, in a few lines. */
export function describeReport(report: MigrationReport): string {
  const { pages } = report;
  const head = {
    completed: `${report.vm} runs at ${report.destination} now`,
    cancelled: `migration cancelled: ${report.vm} stays at ${report.source}`,
    failed: `migration failed: ${report.vm} stays at ${report.source}`,
    paused: `migration paused: ${report.vm} waits at ${report.destination} for pages that are at ${report.source}`,
    "in-doubt": `migration in doubt: nobody knows yet whether ${report.vm} is at ${report.source} or ${report.destination}`,
  }[report.outcome];
  const lines = [
    `${head} (${report.strategy}, ${formatMs(report.totalMs)})`,
    `  downtime  ${report.downtimeMs === null ? "none" : formatMs(report.downtimeMs)}`,
    `  on wire   ${formatBytes(report.bytesOnWire)}`,
    `  pages     ${formatCount(pages.sent)} sent (${formatCount(pages.resent)} again, ${formatCount(pages.differences)} as differences), ` +
      `${formatCount(pages.zero)} zero, ${formatCount(pages.free)} free, of ${formatCount(pages.total)}`,
    `  rounds    ${report.rounds}`,
    ...(report.postcopy === null ? [] : [describePostcopy(report.postcopy)]),
  ];
  return lines.join("\n");
}

function describePostcopy(postcopy: NonNullable<MigrationReport["postcopy"]>): string {
  const { owedPages, faults, p50Us, p99Us, stalledMs } = postcopy;
  return (
    `  resumed   without ${formatCount(owedPages)} pages: ${formatCount(faults)} faults, ` +
    `p50 ${formatMs(p50Us / 1000)}, p99 ${formatMs(p99Us / 1000)}, waited ${formatMs(stalledMs)} in all`
  );
}

/** How long ago an ISO 8601 time was: `12 s`, `3 h`. */
export function formatAge(iso: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(iso)) / 1000));
  if (Number.isNaN(seconds)) return "?";
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
