import type { LabResult } from "./lab-result.ts";

/** The medians of several moves, in the form of one. */
export type LabMedians = LabResult & {
  /** How many moves they are the medians of. */
  readonly moves: number;
};

/**
 * The medians of moves: every number is the median of that number over the moves that completed (an even count
 * gives the lower of the middle two, so that integers stay integers); what is true must be true of all; text is
 * the first move's. The outcome is `completed` only when all are.
 */
export function mediansOf(results: readonly LabResult[]): LabMedians {
  const [first] = results;
  if (first === undefined) throw new RangeError("medians of nothing");
  const bad = results.find(({ outcome }) => outcome !== "completed");
  const completed = results.filter(({ outcome }) => outcome === "completed");
  const merged = mergeAll(completed.length === 0 ? [first] : completed) as LabResult;
  return {
    ...merged,
    ...(bad === undefined ? {} : { outcome: bad.outcome, error: bad.error }),
    guestVerified: results.every(({ guestVerified }) => guestVerified === true),
    guestDamage: results.find(({ guestDamage }) => guestDamage !== null)?.guestDamage ?? null,
    moves: results.length,
  };
}

function mergeAll(values: readonly unknown[]): unknown {
  const [first] = values;
  const numbers = values.filter((value) => typeof value === "number");
  if (numbers.length > 0) return median(numbers);
  if (typeof first === "boolean") return values.every((value) => value === true);
  if (first === null || typeof first !== "object" || Array.isArray(first)) return first;
  const objects = values.filter((value) => typeof value === "object" && value !== null);
  return Object.fromEntries(
    Object.keys(first).map((key) => [
      key,
      mergeAll(objects.map((one) => (one as Record<string, unknown>)[key])),
    ]),
  );
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((one, other) => one - other);
  return sorted[(sorted.length - 1) >> 1]!;
}
