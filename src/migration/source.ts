import { asGodwitError, GodwitError } from "../base/errors.ts";
import type { MigrationEvent } from "./events.ts";
import { bytesOf, uniteLearned } from "./learned-pages.ts";
import type { MigrationReport } from "./report.ts";
import { commit } from "./source/commit.ts";
import { live } from "./source/live.ts";
import { undoOpaque } from "./source/opaque.ts";
import { notInDoubt, OperatorWord, type OwnerName } from "./source/operator-word.ts";
import type { SourceOptions } from "./source/options.ts";
import { preflight } from "./source/preflight.ts";
import { pausedRemainder, remainder } from "./source/remainder.ts";
import { finishReport } from "./source/report.ts";
import { SourceRun } from "./source/run.ts";
import { setup } from "./source/setup.ts";
import { switchover } from "./source/switchover.ts";

export type { SourceOptions } from "./source/options.ts";

/** What the last exchange may take: the destination only has to answer. */
const RELEASE_TIMEOUT_MS = 5_000;

/**
 * One outgoing migration, from the request to the report. Before the commit every failure ends with the guest
 * running here as before; after it the guest is the destination's. At most one copy ever runs.
 */
export class SourceMigration {
  readonly #run: SourceRun;
  readonly #stop = new AbortController();
  readonly #operator = new OperatorWord();
  #committing = false;
  #cancelled: string | null = null;

  constructor(options: SourceOptions) {
    this.#run = new SourceRun(options);
  }

  /** Calls back on every event from now on; `events.jsonl` in the folder has them all. @returns ends that */
  onEvent(listener: (event: MigrationEvent) => void): () => void {
    return this.#run.log.onEvent(listener);
  }

  /** Makes the migration. Never rejects for a failure of it: the report says the outcome and the error. */
  async run(): Promise<MigrationReport> {
    try {
      return await this.#make();
    } finally {
      this.#run.options.opaque?.close();
    }
  }

  async #make(): Promise<MigrationReport> {
    const run = this.#run;
    const cpuBefore = process.cpuUsage();
    const cpuSeconds = () => {
      const used = process.cpuUsage(cpuBefore);
      return (used.user + used.system) / 1e6;
    };
    try {
      await preflight(run);
      await setup(run);
      if (run.moments.stoppedMs === null && !run.guestWasPaused) await live(run);
      await switchover(run);
      run.signal.throwIfAborted();
    } catch (thrown) {
      const error = this.#reason(thrown);
      const safe = await this.#rollBack(error);
      return finishReport(run, this.#cancelled === null ? "failed" : "cancelled", safe, cpuSeconds());
    }
    this.#committing = true;
    try {
      const outcome = await commit(run, this.#stop.signal, this.#operator);
      if (outcome.kind === "refused") {
        run.journal!.append("refused", outcome.error.message);
        return finishReport(run, "failed", await this.#rollBack(outcome.error), cpuSeconds());
      }
      run.moments.resumedMs = outcome.resumedAtEpochMs;
      if (run.postcopy !== null) {
        run.journal!.append("serving");
        try {
          await this.#remainder();
        } catch (thrown) {
          const error = pausedRemainder(run, thrown);
          if (run.phases.current !== "paused") run.phases.enter("paused", error.message);
          run.log.append({ type: "error", error: error.toJSON() });
          return finishReport(run, "paused", error, cpuSeconds());
        }
      }
      await this.#release(outcome.cpuSeconds);
      run.phases.enter("completed");
      return finishReport(run, "completed", null, cpuSeconds());
    } catch (thrown) {
      const error = asGodwitError(thrown, "GODWIT_IN_DOUBT", {
        ...run.where(),
        vmState: "stopped at the source, in doubt at the destination",
        advice: "the agent asks the destination again when it starts; nothing is lost",
      });
      run.log.append({ type: "error", error: error.toJSON() });
      return finishReport(run, "in-doubt", error, cpuSeconds());
    } finally {
      await run.data?.kill();
      await run.channel?.close();
      run.unwatch();
      run.journal?.close();
    }
  }

  async #remainder(): Promise<void> {
    const run = this.#run;
    // A link that was lost during the commit took the connections for pages with it.
    if (run.phases.current === "paused") {
      throw new GodwitError("GODWIT_LINK_LOST", "the link broke during the commit; the guest resumed there");
    }
    await remainder(run);
    const endMs = Date.now();
    run.postcopy = { ...run.postcopy!, remainderMs: Math.max(0, endMs - (run.moments.resumedMs ?? endMs)) };
  }

  /** Asks for the end of the migration. After the commit has begun it is too late: the guest is about to move. */
  async cancel(reason: string): Promise<"cancelled" | "too-late"> {
    if (this.#committing || this.#run.signal.aborted) return this.#committing ? "too-late" : "cancelled";
    this.#cancelled = reason;
    this.#run.fail(
      new GodwitError("GODWIT_CANCELLED", reason, { advice: "start it again whenever you like" }),
    );
    return "cancelled";
  }

  /** Stops asking a destination that can't be reached; the journal has the question for the next start. */
  stopAsking(): void {
    this.#stop.abort(new GodwitError("GODWIT_IN_DOUBT", "the agent ends before the destination answered"));
  }

  /**
   * Takes an operator's word for that of a destination that doesn't answer.
   * @throws GodwitError `GODWIT_NOT_IN_DOUBT` while the destination isn't being asked
   */
  decide(owner: OwnerName): void {
    if (this.#run.phases.current !== "paused" || this.#run.journal?.state !== "committing") {
      throw notInDoubt(`the migration is in the phase ${this.#run.phases.current}`);
    }
    this.#run.log.append({ type: "decision", what: `the guest is ${owner}`, reason: "an operator said so" });
    this.#operator.give(owner);
  }

  /** What ended the migration: the first failure noticed, rather than what it made of later calls. */
  #reason(thrown: unknown): GodwitError {
    const { signal } = this.#run;
    const error = signal.aborted ? signal.reason : thrown;
    return asGodwitError(error, "GODWIT_MIGRATION", this.#run.where());
  }

  async #rollBack(cause: GodwitError): Promise<GodwitError> {
    const run = this.#run;
    if (this.#cancelled !== null) run.phases.enter("cancelling", this.#cancelled);
    await run.channel?.abort(cause.toJSON()).catch(() => {});
    // QEMU may sit in a write to the data process: only the end of its socket frees it.
    await run.data?.kill();
    let error = cause;
    try {
      if (!run.options.machine.qmp.closed) {
        await undoOpaque(run);
        // One of QEMU 7.2 that was made ready for post-copy does; with pre-copy none does before its commit.
        await run.qemu.rollBack(run.guestWasPaused, "own", run.destinationTakesPostcopy);
        const vmState = run.guestWasPaused ? "paused at the source, as before" : "running at the source";
        error = cause.now({ vmState }).with({ advice: "mend the cause and start the migration again" });
      }
      if (run.journal !== null && run.journal.state !== "rolled-back")
        run.journal.append("rolled-back", cause.message);
    } catch (thrown) {
      const also = asGodwitError(thrown, "GODWIT_ROLLBACK");
      error = cause.now({
        vmState: `unknown: rolling back failed too (${also.message})`,
        advice: "look with `godwit vm show` and QEMU's log; `cont` in its monitor continues the guest",
      });
    }
    if (this.#cancelled === null) run.log.append({ type: "error", error: error.toJSON() });
    run.phases.enter(this.#cancelled === null ? "failed" : "cancelled", cause.message);
    run.unwatch();
    run.journal?.close();
    return error;
  }

  async #release(cpuSeconds: number): Promise<void> {
    const run = this.#run;
    const { migrationId, machine } = run.options;
    run.journal!.append("handed-over");
    run.destinationCpuSeconds = cpuSeconds;
    await machine.quit();
    run.sourceEnded = true;
    run.journal!.append("released");
    try {
      const learned = uniteLearned(run.learned, run.requests);
      if (learned.length > 0) {
        await run.link.send({ type: "learned-pages", migrationId, payload: bytesOf(learned) });
      }
      await run.link.send({ type: "release", migrationId });
      const last = await run.link.receive("released", { timeoutMs: RELEASE_TIMEOUT_MS });
      run.destinationCpuSeconds = last.cpuSeconds;
    } catch (thrown) {
      const { message } = asGodwitError(thrown, "GODWIT_LINK_LOST");
      run.log.append({ type: "decision", what: "end without the destination's figures", reason: message });
    }
  }
}
