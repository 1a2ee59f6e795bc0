/** What the client saw in a stretch of time. Times are milliseconds. */
export interface ProbeWindow {
  /** Probes sent in the window. */
  readonly sent: number;
  /** Of those, the ones that were never answered. */
  readonly lost: number;
  /**
   * The longest time between two answers that followed each other, of all such times that touch the window: how
   * long the client heard nothing. Null when nothing was ever answered.
   */
  readonly longestSilenceMs: number | null;
  /** When that silence began, `Date.now()` time. */
  readonly silenceFromMs: number | null;
  /** Whether an answer came after the silence; without one it lasts until the last look. */
  readonly answeredAgain: boolean;
  /**
   * The longest time between two probes sent: while the probe itself was not given the processor it could not
   * hear either. A silence that is hardly longer says nothing.
   */
  readonly longestOwnStallMs: number;
  /** Round-trip times of the answered probes sent in the window; null when there were none. */
  readonly roundTripMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
}

/** All probes of a run, one entry per sequence number; times in milliseconds of one clock. */
export interface ProbeSeries {
  /** When each was sent, ascending. */
  readonly sentAt: Float64Array;
  /** When its first answer arrived, NaN without one. */
  readonly answeredAt: Float64Array;
}

/**
 * Looks at a window of a series.
 * @param nowMs the time of the look: a silence that has not ended lasts until then
 */
export function lookAtWindow(
  series: ProbeSeries,
  window: { fromMs: number; toMs: number },
  nowMs: number,
): ProbeWindow {
  const { fromMs, toMs } = window;
  const { sentAt, answeredAt } = series;
  let sent = 0;
  let lost = 0;
  let longestOwnStallMs = 0;
  const roundTrips: number[] = [];
  for (let at = 0; at < sentAt.length; at += 1) {
    const time = sentAt[at]!;
    if (time < fromMs || time > toMs) continue;
    sent += 1;
    if (at > 0) longestOwnStallMs = Math.max(longestOwnStallMs, time - sentAt[at - 1]!);
    const answered = answeredAt[at]!;
    if (Number.isNaN(answered)) lost += 1;
    else roundTrips.push(answered - time);
  }
  return {
    sent,
    lost,
    longestOwnStallMs,
    ...longestSilence(answeredAt, fromMs, toMs, nowMs),
    roundTripMs: roundTrips.length === 0 ? null : summary(Float64Array.from(roundTrips).sort()),
  };
}

function longestSilence(answeredAt: Float64Array, fromMs: number, toMs: number, nowMs: number) {
  const arrivals = answeredAt.filter((time) => !Number.isNaN(time)).sort();
  let longestSilenceMs: number | null = null;
  let silenceFromMs: number | null = null;
  let answeredAgain = false;
  for (let at = 0; at < arrivals.length; at += 1) {
    const begin = arrivals[at]!;
    const next = arrivals[at + 1];
    const end = next ?? Math.max(begin, nowMs);
    if (end < fromMs || begin > toMs) continue;
    if (longestSilenceMs === null || end - begin > longestSilenceMs) {
      longestSilenceMs = end - begin;
      silenceFromMs = begin;
      answeredAgain = next !== undefined;
    }
  }
  return { longestSilenceMs, silenceFromMs, answeredAgain };
}

function summary(sorted: Float64Array): { p50: number; p99: number; max: number } {
  const quantile = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return { p50: quantile(0.5), p99: quantile(0.99), max: sorted[sorted.length - 1]! };
}
