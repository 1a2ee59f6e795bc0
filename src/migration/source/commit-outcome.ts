import type { GodwitError } from "../../base/errors.ts";

/** How the commit came out. `refused`: the destination gave the guest up for good, the source may continue it. */
export type CommitOutcome =
  | { readonly kind: "running"; readonly resumedAtEpochMs: number | null; readonly cpuSeconds: number }
  | { readonly kind: "refused"; readonly error: GodwitError };
