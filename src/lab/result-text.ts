import { formatBytes } from "../base/units.ts";
import type { LabResult } from "./lab-result.ts";

/** One move's outcome for people, a few lines. */
export function describeResult(result: LabResult): string {
  const { pages, load, client } = result;
  const lines = [
    `${result.engine} ${result.strategy}, ${result.direction.replaceAll("-", " ")}: ${result.outcome}` +
      `${result.error === null ? "" : ` (${result.error.code}: ${result.error.message})`}`,
    `  total ${ms(result.totalMs)}, set-up ${ms(result.setupMs)}, downtime ${ms(result.downtimeMs)}`,
    `  on the wire ${formatBytes(result.bytesOnWire)}; pages: ${count(pages.sent)} sent` +
      ` (${count(pages.resent)} again, ${count(pages.differences)} as differences), ${count(pages.zero)} zero, of ${count(pages.total)}; ${result.rounds} rounds`,
    client === null
      ? "  no client outside without root"
      : `  the client's longest silence ${ms(result.pauseSeenMs)}, around the switchover` +
        ` ${ms(result.switchoverPauseSeenMs)} (before the move ${ms(client.noiseMs)}); ${count(client.lost)} of` +
        ` ${count(client.probes)} probes lost`,
    `  the guest${load === null ? "" : ` held ${formatBytes(load.holdBytes)}, dirtied ${formatBytes(load.dirtyBytesPerSecond)}/s`}` +
      ` and says: ${verdictText(result)}`,
  ];
  return lines.join("\n");
}

/** Rows of a comparison: what is measured, then one column per result. */
export function comparisonRows(results: readonly { name: string; result: LabResult }[]): string[][] {
  const row = (what: string, cell: (result: LabResult) => string) => [
    what,
    ...results.map(({ result }) => cell(result)),
  ];
  return [
    ["", ...results.map(({ name }) => name)],
    row("outcome", ({ outcome }) => outcome),
    row("total time", ({ totalMs }) => ms(totalMs)),
    row("bytes on the wire", ({ bytesOnWire }) => formatBytes(bytesOnWire)),
    row("downtime (STOP to RESUME)", ({ downtimeMs }) => ms(downtimeMs)),
    row("pause the client saw then", ({ switchoverPauseSeenMs }) => ms(switchoverPauseSeenMs)),
    row("longest pause the client saw", ({ pauseSeenMs }) => ms(pauseSeenMs)),
    row("the guest's own check", verdictText),
  ];
}

/** Rows as text in aligned columns. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join("   ")
        .trimEnd(),
    )
    .join("\n");
}

function verdictText({ guestVerified, guestDamage }: LabResult): string {
  if (guestVerified === null) return "not asked";
  return guestVerified ? "nothing wrong" : `DAMAGED: ${guestDamage ?? "?"}`;
}

function ms(value: number | null): string {
  if (value === null) return "–";
  return value >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
