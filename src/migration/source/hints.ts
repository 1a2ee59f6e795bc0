import { asGodwitError } from "../../base/errors.ts";
import { HELPER_CHANNEL } from "../../hints/index.ts";
import { memoryMap } from "../../qemu/memory-map.ts";
import type { HintsInput } from "../data/free-page-looks.ts";
import type { SourceRun } from "./run.ts";

const PAGE_BYTES = 4096;

/**
 * How the guest can be asked for its free pages and its working set in this migration, or null: it has no channel for
 * that, it shall not be asked, or it stands still from the beginning and can't answer. Whatever goes wrong here costs the saving only.
 */
export async function surveyHints(run: SourceRun): Promise<HintsInput | null> {
  const { machine, settings } = run.options;
  const wanted = settings.freePages ?? machine.machine.freePages;
  const workingSet = settings.workingSet === "auto" && run.strategy.postcopy;
  if (
    (wanted === "off" && !workingSet) ||
    settings.contents === "stream" ||
    !machine.machine.channels.some(({ name }) => name === HELPER_CHANNEL)
  )
    return null;
  if (run.guestWasPaused) {
    const reason = "a guest that stands still can't tell them";
    run.log.append({ type: "decision", what: "send free pages like others", reason });
    return null;
  }
  try {
    const map = await memoryMap(machine.qmp, { signal: run.signal });
    const pieces = map.map(({ guestAddress, bytes, block, blockOffset }) => ({
      firstGuestPage: guestAddress / PAGE_BYTES,
      pages: bytes / PAGE_BYTES,
      block,
      firstBlockPage: blockOffset / PAGE_BYTES,
    }));
    const freePages = wanted === "off" ? null : wanted === "auto" ? ("any" as const) : wanted;
    return {
      path: machine.channelPath(HELPER_CHANNEL),
      pieces,
      freePages,
      dropCache: settings.dropCache,
      workingSet,
    };
  } catch (thrown) {
    run.signal.throwIfAborted();
    const { message } = asGodwitError(thrown, "GODWIT_HELPER_UNREACHABLE");
    run.log.append({ type: "decision", what: "send free pages like others", reason: message });
    return null;
  }
}
