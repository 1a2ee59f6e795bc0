import { setTimeout as sleep } from "node:timers/promises";
import { asGodwitError, GodwitError } from "../../base/errors.ts";
import type { JournalHead } from "../journal.ts";
import type { CommitOutcome } from "./commit-outcome.ts";
import { type ConnectOptions, connectDestination } from "./connect.ts";
import type { OperatorWord } from "./operator-word.ts";
import type { SourceOptions } from "./options.ts";
import type { SourceRun } from "./run.ts";

/**
 * Noted with `committing`: the destination runs the guest without all of its pages, so that the QEMU here must not
 * end when the destination says that it runs.
 */
export const LACKS_PAGES = "the destination lacks pages";

/** Between two questions to a destination that can't be reached. */
const INQUIRY_INTERVAL_MS = 1_000;

/** One question: connecting, hello and the answer from a file. */
const INQUIRY_TIMEOUT_MS = 10_000;

/**
 * The commit. From the journal's `committing` on, the guest is continued here only on the destination's own word
 * that it never will be there. A link cut in between leaves it in doubt: the destination is asked until it answers,
 * until an operator decides, or until `stop` ends the asking and leaves the question to the next start of the agent.
 */
export async function commit(
  run: SourceRun,
  stop: AbortSignal,
  operator: OperatorWord,
): Promise<CommitOutcome> {
  const { options, link } = run;
  const { migrationId } = options;
  run.journal!.append("committing", run.postcopy === null ? undefined : LACKS_PAGES);
  try {
    await link.send({ type: "commit", migrationId });
    const answer = await link.receive(["running", "commit-refused"]);
    if (answer.type === "commit-refused") {
      return { kind: "refused", error: GodwitError.fromRecord(answer.error).with({ side: "destination" }) };
    }
    return { kind: "running", resumedAtEpochMs: answer.resumedAtEpochMs, cpuSeconds: answer.cpuSeconds };
  } catch (thrown) {
    const error = asGodwitError(thrown, "GODWIT_LINK_LOST");
    run.phases.enter("paused", `in doubt whether the destination continued the guest: ${error.message}`);
    return askUntilKnown(options, migrationId, stop, operator);
  }
}

/**
 * Asks the destination's journal until it answers, or the operator speaks for it.
 * @throws the reason of `stop`
 */
export async function askUntilKnown(
  options: ConnectOptions,
  migrationId: string,
  stop: AbortSignal,
  operator: OperatorWord,
): Promise<CommitOutcome> {
  const enough = AbortSignal.any([stop, operator.signal]);
  for (;;) {
    stop.throwIfAborted();
    if (operator.outcome !== null) return operator.outcome;
    try {
      const outcome = await inquire(options, migrationId, enough);
      if (outcome !== null) return outcome;
    } catch {
      stop.throwIfAborted();
    }
    await sleep(INQUIRY_INTERVAL_MS, undefined, { signal: enough }).catch(() => {});
  }
}

/** Asks once. @returns null while the destination itself has not come to an end */
async function inquire(
  options: ConnectOptions,
  migrationId: string,
  stop: AbortSignal,
): Promise<CommitOutcome | null> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(INQUIRY_TIMEOUT_MS)]);
  const channel = await connectDestination(options, signal);
  try {
    await channel.send({ type: "inquire", migrationId });
    const answer = await channel.receive("verdict", { signal });
    if (answer.verdict === "running") {
      return { kind: "running", resumedAtEpochMs: answer.resumedAtEpochMs ?? null, cpuSeconds: 0 };
    }
    // A destination that knows nothing may be looking into the wrong state folder: no reason to run a second copy.
    if (answer.verdict !== "not-committed") return null;
    return {
      kind: "refused",
      error: new GodwitError("GODWIT_COMMIT_REFUSED", "the destination gave the guest up", {
        side: "destination",
      }),
    };
  } finally {
    await channel.close();
  }
}

/** The inquiry of a migration found in a journal after a restart. */
export function inquiryOf(
  head: JournalHead,
  own: Pick<SourceOptions, "credentials" | "hostName" | "softwareVersion">,
): ConnectOptions {
  return {
    ...own,
    destination: { name: head.peer.name, host: head.peer.host ?? "", port: head.peer.port ?? 0 },
  };
}
