import { GodwitError } from "../../base/errors.ts";
import type { CommitOutcome } from "./commit-outcome.ts";

/** Who an operator may say has the guest, seen from the source. */
export const ownerNames = ["here", "there"] as const;

/** `here`: the destination never ran the guest and never will. `there`: the guest is the destination's. */
export type OwnerName = (typeof ownerNames)[number];

/**
 * What an operator says of a guest in doubt, in place of a destination that will never answer again. It counts as the
 * destination's own word, so who gives it must know: `docs/commit.md`, "In doubt".
 */
export class OperatorWord {
  readonly #given = new AbortController();
  #outcome: CommitOutcome | null = null;

  /** What was said; null while nothing was. */
  get outcome(): CommitOutcome | null {
    return this.#outcome;
  }

  /** Aborts when it is given: nobody else needs to be asked any more. */
  get signal(): AbortSignal {
    return this.#given.signal;
  }

  /** Says it. The first word counts. */
  give(owner: OwnerName): void {
    this.#outcome ??=
      owner === "there"
        ? { kind: "running", resumedAtEpochMs: null, cpuSeconds: 0 }
        : {
            kind: "refused",
            error: new GodwitError("GODWIT_COMMIT_REFUSED", "an operator said that it never ran there", {
              side: "destination",
            }),
          };
    this.#given.abort();
  }
}

/** Refuses a word that nobody asked for. */
export function notInDoubt(why: string): GodwitError {
  return new GodwitError("GODWIT_NOT_IN_DOUBT", `there is nothing to decide: ${why}`, {
    side: "source",
    vmState: "unchanged",
    advice: "look with `godwit migrations ID`; only the source of a VM in doubt takes a decision",
  });
}
