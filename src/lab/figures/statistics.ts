/** A number measured some times. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly runs: number;
}

/** Median, smallest and largest; the median of an even count is the mean of the middle two. Null of nothing. */
export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((one, other) => one - other);
  const above = sorted[sorted.length >> 1]!;
  const below = sorted[(sorted.length - 1) >> 1]!;
  return {
    median: (above + below) / 2,
    low: sorted[0]!,
    high: sorted.at(-1)!,
    runs: sorted.length,
  };
}

/** The median, or null of nothing. */
export function medianOf(values: readonly number[]): number | null {
  return spreadOf(values)?.median ?? null;
}

/**
 * Where a ratio that changes with x passes 1, between the first two points on its either side: read off straight lines
 * between points on two logarithmic axes. Null where it does not pass.
 * @param points ascending in x
 */
export function crossing(points: readonly { readonly x: number; readonly ratio: number }[]): number | null {
  for (const [at, { x, ratio }] of points.entries()) {
    const next = points[at + 1];
    if (next === undefined) return null;
    const [one, other] = [Math.log(ratio), Math.log(next.ratio)];
    if (one === 0) return x;
    if (one * other > 0) continue;
    const share = one / (one - other);
    return Math.exp(Math.log(x) + share * (Math.log(next.x) - Math.log(x)));
  }
  return null;
}
