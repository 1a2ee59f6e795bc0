import { asGodwitError, GodwitError } from "../../base/errors.ts";
import {
  blockRunsOf,
  type FreePageLister,
  type FreePagesRequest,
  GuestHelper,
  type GuestMemoryPiece,
  guestPageCount,
  HELPER_CHANNEL,
} from "../../hints/index.ts";
import { memoryMap } from "../../qemu/memory-map.ts";
import { type FirstLook, figuresOf, type HintsInput, MOST_RUNS } from "../data/free-page-looks.ts";
import { openHeldLocks } from "../data/open-held-locks.ts";
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
  const holdsLocks = wanted === "held-locks";
  const hasHelper = machine.machine.channels.some(({ name }) => name === HELPER_CHANNEL);
  if (!hasHelper && !holdsLocks) return null;
  if (wanted === "off" && !workingSet && !kernelPages) return null;
  if (settings.contents === "stream" || run.guestWasPaused) return null;
  try {
    const pieces = await piecesOf(run, signal);
    const path = hasHelper ? machine.channelPath(HELPER_CHANNEL) : null;
    const doorbellPid = holdsLocks ? machine.pid : null;
    using helper = path === null ? null : await GuestHelper.connect(path, guestPageCount(pieces), { signal });
    const hints = { path, doorbellPid, pieces, workingSet, kernelPages };
    if (wanted === "off") return { ...hints, freePages: null };
    if (helper !== null) await dropCache(run, helper, signal);
    if (holdsLocks) {
      using locks = await openHeldLocks(machine.pid, guestPageCount(pieces));
      return { ...hints, freePages: await firstLook(run, locks, pieces, "any", signal) };
    }
    const source = wanted === "auto" ? "any" : wanted;
    return { ...hints, freePages: await firstLook(run, helper!, pieces, source, signal) };
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

async function dropCache(run: SourceRun, helper: GuestHelper, signal: AbortSignal): Promise<void> {
  if (!run.options.settings.dropCache || !helper.hello.canDropCache) return;
  const { droppedBytes: bytes, tookMs, finished } = await helper.dropCache(DROP_CACHE_MS, { signal });
  run.droppedCache = { bytes, tookMs, finished };
}

async function firstLook(
  run: SourceRun,
  lister: FreePageLister,
  pieces: readonly GuestMemoryPiece[],
  source: FreePagesRequest["source"],
  signal: AbortSignal,
): Promise<FirstLook> {
  const beginMs = performance.now();
  const bytesBefore = lister.receivedBytes;
  const request = { source, minimumOrder: 0, perCpu: true, mostRuns: MOST_RUNS };
  const answer = await lister.freePages(request, { signal }).catch((error: unknown) => {
    // Slow as kpageflags of a large guest are: no page waits then, and the looks that count have more time.
    if (!signal.aborted) throw error;
    return null;
  });
  const tookMs = performance.now() - beginMs;
  if (answer === null) return { source, lists: [], tookMs };
  const listBytes = lister.receivedBytes - bytesBefore;
  run.looks.push(figuresOf(answer, { tookMs, droppedPages: 0, listBytes }));
  return { source, lists: blockRunsOf(answer.runs, pieces), tookMs };
}
