import { short } from "./sweep.ts";

/** `1.2 s`, or a dash. */
export function secondsText(value: number | null): string {
  return value === null ? "–" : `${short(value)} s`;
}

/** `120 ms`, or a dash. */
export function msText(value: number | null): string {
  return value === null ? "–" : `${Math.round(value).toLocaleString("en-US")} ms`;
}

/** `2.1 times`, or a dash. */
export function timesText(value: number | null): string {
  return value === null ? "–" : `${value.toFixed(value < 10 ? 2 : 0)} times`;
}

/** `300 Mbit/s` or `1.2 Gbit/s`. */
export function bandwidthText(megabits: number): string {
  return megabits >= 1000 ? `${short(megabits / 1000)} Gbit/s` : `${Math.round(megabits)} Mbit/s`;
}

/** First and last of a series. */
export interface Ends {
  readonly fromX: number;
  readonly toX: number;
  readonly from: number;
  readonly to: number;
  /** How many times the first the last is. */
  readonly times: number;
}

/** Whether a value grew by at least half of what it would have grown in proportion to x. */
export function growsWithX({ fromX, toX, times }: Ends): boolean {
  return times - 1 > (toX / fromX - 1) / 2;
}

/** First and last of a series and how many times the last is the first; null of fewer than two points. */
export function ends(points: readonly { readonly x: number; readonly median: number }[]): Ends | null {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || first === last) return null;
  return {
    fromX: first.x,
    toX: last.x,
    from: first.median,
    to: last.median,
    times: last.median / first.median,
  };
}
