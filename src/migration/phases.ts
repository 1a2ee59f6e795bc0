import { GodwitError } from "../base/errors.ts";
import type { PhaseName } from "./events.ts";

/**
 * Which phase may follow which. `switchover` may follow `setup` directly: stop-and-copy has no live phase.
 * `paused` follows only what lies behind the commit; before it every failure ends with the source running.
 */
export const phaseTransitions: Readonly<Record<PhaseName, readonly PhaseName[]>> = {
  preflight: ["setup", "cancelling", "failed"],
  setup: ["live", "switchover", "cancelling", "failed"],
  live: ["switchover", "cancelling", "failed"],
  switchover: ["remainder", "completed", "paused", "cancelling", "failed"],
  remainder: ["completed", "paused", "failed"],
  paused: ["remainder", "completed", "failed"],
  cancelling: ["cancelled", "failed"],
  completed: [],
  cancelled: [],
  failed: [],
};

/** The phase a migration is in; the only way to change it checks the table. */
export class PhaseMachine {
  #current: PhaseName = "preflight";
  readonly #entered: (phase: PhaseName, reason: string | undefined) => void;

  /** `entered` is called after each change. */
  constructor(entered: (phase: PhaseName, reason: string | undefined) => void) {
    this.#entered = entered;
  }

  get current(): PhaseName {
    return this.#current;
  }

  /** @throws GodwitError `GODWIT_PHASE_TRANSITION` when the table doesn't allow it: a bug, never a peer's doing */
  enter(next: PhaseName, reason?: string): void {
    if (!phaseTransitions[this.#current].includes(next)) {
      throw new GodwitError("GODWIT_PHASE_TRANSITION", `phase ${next} can't follow ${this.#current}`);
    }
    this.#current = next;
    this.#entered(next, reason);
  }
}
