import { asGodwitError, GodwitError } from "../../base/errors.ts";
import {
  blockRunsOf,
  type FreePagesRequest,
  GuestHelper,
  type GuestMemoryPiece,
  guestPageCount,
  HELPER_CHANNEL,
} from "../../hints/index.ts";
import { memoryMap } from "../../qemu/memory-map.ts";
import { type FirstLook, figuresOf, type HintsInput, MOST_RUNS } from "../data/free-page-looks.ts";
import type { Strategy } from "../strategies/strategy.ts";
import type { SourceRun } from "./run.ts";

/** How long a guest may drop page cache before it is asked for free pages all the same. */
const DROP_CACHE_MS = 1_000;

const PAGE_BYTES = 4096;

/**
 * Finds out whether the guest can be asked for its free pages and its working set, and asks it once for the pages that
 * are free before the migration begins. It has about the time that the destination takes to answer, which costs
 * nothing: `signal` ends it, and what the guest has not said by then is not waited for. Null where nobody answers or
 * nobody shall be asked; an event says why.
 */
export async function surveyHints(run: SourceRun, signal: AbortSignal): Promise<HintsInput | null> {
  const { machine, settings } = run.options;
  const wanted = settings.freePages ?? machine.machine.freePages;
  const { postcopy } = run.strategy;
  const workingSet = settings.workingSet === "auto" && postcopy;
  const kernelPages = settings.resumeSet?.includes("kernel") !== false && postcopy;
  if (!machine.machine.channels.some(({ name }) => name === HELPER_CHANNEL)) return null;
  if (
    (wanted === "off" && !workingSet && !kernelPages) ||
    settings.contents === "stream" ||
    run.guestWasPaused
  )
    return null;
  try {
    const pieces = await piecesOf(run, signal);
    const path = machine.channelPath(HELPER_CHANNEL);
    using helper = await GuestHelper.connect(path, guestPageCount(pieces), { signal });
    if (wanted === "off") return { path, pieces, freePages: null, workingSet, kernelPages };
    const source = wanted === "auto" ? "any" : wanted;
    const freePages = await firstLook(run, helper, pieces, source, signal);
    return { path, pieces, freePages, workingSet, kernelPages };
  } catch (thrown) {
    run.signal.throwIfAborted();
    const error = signal.aborted
      ? new GodwitError("GODWIT_HELPER_SILENT", "the guest's helper took longer than the destination")
      : asGodwitError(thrown, "GODWIT_HELPER_UNREACHABLE");
    const what = "move without the guest's word on its memory";
    run.log.append({ type: "decision", what, reason: error.message });
    return null;
  }
}

/** What of it a strategy can use: all but free pages is for those that resume early. Null when nothing. */
export function hintsFor(hints: HintsInput, strategy: Strategy): HintsInput | null {
  const workingSet = hints.workingSet && strategy.postcopy;
  const kernelPages = hints.kernelPages && strategy.postcopy;
  return hints.freePages === null && !workingSet && !kernelPages
    ? null
    : { ...hints, workingSet, kernelPages };
}

async function piecesOf(run: SourceRun, signal: AbortSignal): Promise<GuestMemoryPiece[]> {
  const map = await memoryMap(run.options.machine.qmp, { signal });
  return map.map(({ guestAddress, bytes, block, blockOffset }) => ({
    firstGuestPage: guestAddress / PAGE_BYTES,
    pages: bytes / PAGE_BYTES,
    block,
    firstBlockPage: blockOffset / PAGE_BYTES,
  }));
}

async function firstLook(
  run: SourceRun,
  helper: GuestHelper,
  pieces: readonly GuestMemoryPiece[],
  source: FreePagesRequest["source"],
  signal: AbortSignal,
): Promise<FirstLook> {
  if (run.options.settings.dropCache && helper.hello.canDropCache) {
    const { droppedBytes: bytes, tookMs, finished } = await helper.dropCache(DROP_CACHE_MS, { signal });
    run.droppedCache = { bytes, tookMs, finished };
  }
  const beginMs = performance.now();
  const bytesBefore = helper.receivedBytes;
  const request = { source, minimumOrder: 0, perCpu: true, mostRuns: MOST_RUNS };
  const answer = await helper.freePages(request, { signal }).catch((error: unknown) => {
    // Slow as kpageflags of a large guest are: no page waits then, and the looks that count have more time.
    if (!signal.aborted) throw error;
    return null;
  });
  const tookMs = performance.now() - beginMs;
  if (answer === null) return { source, lists: [], tookMs };
  const listBytes = helper.receivedBytes - bytesBefore;
  run.looks.push(figuresOf(answer, { tookMs, droppedPages: 0, listBytes }));
  return { source, lists: blockRunsOf(answer.runs, pieces), tookMs };
}
