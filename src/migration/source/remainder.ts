import { asGodwitError, type GodwitError } from "../../base/errors.ts";
import { ProgressMeter } from "./progress.ts";
import type { SourceRun } from "./run.ts";

/** The event log gets a progress line this often, as in the live phase. */
const PROGRESS_INTERVAL_MS = 250;

/** The destination has every page by then and only has to end its QEMU's post-copy. */
const COMPLETE_TIMEOUT_MS = 60_000;

/**
 * The guest runs at the destination and lacks pages: what it asks for goes first, the rest unasked. The source's QEMU
 * stays as it is until the destination has everything, so that a cut is a pause and no loss.
 * @throws GodwitError why it broke off; both sides then keep what they have
 */
export async function remainder(run: SourceRun): Promise<void> {
  const { signal, link, carrier, options } = run;
  const { migrationId } = options;
  run.phases.enter("remainder");
  carrier.send({ type: "resumed" });
  carrier.onOutrun((isOutrun) => {
    const what = isOutrun ? "push pages uncompressed where that is faster" : "compress pushed pages again";
    const reason = isOutrun
      ? "the guest keeps asking for pages that are on their way"
      : "push keeps up with the guest";
    run.log.append({ type: "decision", what, reason });
  });
  const meter = new ProgressMeter(run);
  const timer = setInterval(() => {
    if (run.counters === null) return;
    meter.observe(run.counters, { unlistedPages: 0, dirtyPagesPerSecond: 0 });
    run.log.append(meter.event("remainder", "the guest runs at the destination, pages follow"));
  }, PROGRESS_INTERVAL_MS);
  try {
    const { totals, bubblePages, learned, workingSet } = await carrier.remainderComplete(signal);
    await link.send({
      type: "pages-complete",
      migrationId,
      connections: totals.map((total) => ({ ...total })),
    });
    const done = await link.receive("remainder-complete", { signal, timeoutMs: COMPLETE_TIMEOUT_MS });
    const { faults, latencyCounts, p50Us, p99Us, stalledMs } = done;
    run.postcopy = {
      ...run.postcopy!,
      faults,
      latencyCounts,
      p50Us,
      p99Us,
      stalledMs,
      bubblePages,
      // The connection for faults is the last one; what it carried was asked for, or lay around that.
      pushedPages: totals.slice(0, -1).reduce((sum, { pages }) => sum + pages, 0) - run.pagesBeforeResume,
      workingSet,
    };
    run.requests = learned;
  } finally {
    clearInterval(timer);
  }
}

/** What a remainder that broke off is called: nothing is lost, and neither side may end its QEMU. */
export function pausedRemainder(run: SourceRun, thrown: unknown): GodwitError {
  const { signal, options } = run;
  const error = asGodwitError(signal.aborted ? signal.reason : thrown, "GODWIT_LINK_LOST", run.where());
  if (!options.machine.runs) {
    return error.now({
      vmState: "at the destination, without pages that ended with the source's QEMU",
      advice: "end it there and start the guest from its disks",
    });
  }
  if (error.code === "GODWIT_QEMU_GONE") {
    return error.now({
      vmState: "gone: the destination's QEMU ended while pages were missing",
      advice: "start the guest from its disks; what the source's QEMU has is of before the move",
    });
  }
  return error.now({
    vmState: "waits at the destination for pages that only the source's stopped QEMU has",
    advice:
      "keep both QEMUs: the destination's waits for its pages, the source's has them; ending either loses the guest",
  });
}
