import type { Runs } from "../pages/index.ts";

/** A list of some of a guest's pages. */
export interface SliceAnswer {
  readonly runs: Runs;
  readonly truncated: boolean;
  readonly scanMs: number;
}

/**
 * One list of slices in the order of their pages, at least one. Runs that meet where two slices do become one.
 * @param isWhole whether no slice is missing at the end
 */
export function joinSlices<Answer extends SliceAnswer>(slices: readonly Answer[], isWhole: boolean): Answer {
  const [first] = slices;
  const runs = new Uint32Array(slices.reduce((length, slice) => length + slice.runs.length, 0));
  let length = 0;
  for (const slice of slices) {
    const meets = length > 0 && runs[length - 2]! + runs[length - 1]! === slice.runs[0];
    if (meets) runs[length - 1]! += slice.runs[1]!;
    const rest = meets ? slice.runs.subarray(2) : slice.runs;
    runs.set(rest, length);
    length += rest.length;
  }
  return {
    ...first!,
    runs: runs.slice(0, length),
    truncated: !isWhole || slices.some(({ truncated }) => truncated),
    scanMs: slices.reduce((sum, { scanMs }) => sum + scanMs, 0),
  };
}
