import { parentPort, workerData } from "node:worker_threads";
import { keepCompiled } from "../../base/compile-cache.ts";
import { asGodwitError, type ErrorRecord } from "../../base/errors.ts";
import type { FreePagesAnswer, FreePagesRequest } from "../../hints/index.ts";
import { openHeldLocks } from "./open-held-locks.ts";

/** Whose doorbell the thread rings, and where guest page numbers end. */
export interface HeldLocksInput {
  readonly pid: number;
  readonly pageCount: number;
}

/** What the thread is told. */
export type HeldLocksTask =
  | { readonly type: "ask"; readonly request: FreePagesRequest; readonly timeoutMs: number | undefined }
  | { readonly type: "end" };

/** What it tells: for each question one of these. */
export type HeldLocksNotice =
  | { readonly type: "answer"; readonly answer: FreePagesAnswer; readonly receivedBytes: number }
  | { readonly type: "refused"; readonly error: ErrorRecord };

const { pid, pageCount } = workerData as HeldLocksInput;
const ended = new AbortController();

async function ask(task: Extract<HeldLocksTask, { type: "ask" }>): Promise<HeldLocksNotice> {
  try {
    const locks = await opened;
    const { timeoutMs } = task;
    const answer = await locks.freePages(task.request, { timeoutMs, signal: ended.signal });
    return { type: "answer", answer, receivedBytes: locks.receivedBytes };
  } catch (thrown) {
    return { type: "refused", error: asGodwitError(thrown, "GODWIT_DOORBELL").toJSON() };
  }
}

keepCompiled();
const opened = openHeldLocks(pid, pageCount);
opened.catch(() => {});
parentPort!.on("message", async (task: HeldLocksTask) => {
  if (task.type === "ask") {
    parentPort!.postMessage(await ask(task));
    return;
  }
  ended.abort();
  parentPort!.close();
  (await opened.catch(() => null))?.close();
});
