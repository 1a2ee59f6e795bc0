import { Worker } from "node:worker_threads";
import { type ErrorRecord, GodwitError } from "../../base/errors.ts";

/** A thread's notice of its own failure; every thread of a data process has it. */
export interface ThreadFailure {
  readonly type: "failed";
  readonly error: ErrorRecord;
}

/**
 * Starts a thread of a data process from a script beside this one. A thread that throws is reported like one that
 * told of its failure itself, with the code `GODWIT_DATA_THREAD`.
 */
export function startThread<Notice extends { readonly type: string }>(
  script: string,
  input: object,
  listener: (notice: Notice | ThreadFailure) => void,
): Worker {
  const worker = new Worker(new URL(script, import.meta.url), { workerData: input });
  worker.on("message", listener);
  worker.on("error", (error) => {
    const failure = new GodwitError("GODWIT_DATA_THREAD", `${script} failed: ${error.message}`);
    listener({ type: "failed", error: failure.toJSON() });
  });
  return worker;
}
