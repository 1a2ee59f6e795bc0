import { GodwitError } from "../../base/errors.ts";
import { isEvent } from "../../qemu/qmp-events.ts";
import type { Observation } from "../strategies/strategy.ts";
import { FIXED_DOWNTIME_MS, ProgressMeter } from "./progress.ts";
import type { SourceRun } from "./run.ts";

/** A QEMU whose guest has powered off ends within this, or not at all. */
const ENDING_MS = 5_000;

/** QEMU is asked for its figures this often; each answer costs its main loop some 0.1 ms. */
const FIGURES_INTERVAL_MS = 100;

/** Below this QEMU would go on for the sake of a few pages. */
const LEAST_STOP_MS = 20;

const PAGE_BYTES = 4096;

/** For post-copy QEMU may stop when its last pages are read in this time: shorter than other costs of the pause. */
const STOP_READING_MS = 8;

/** The feed reads about this fast, contents and all. */
const READING_BYTES_PER_SECOND = 1e9;

const noPostcopy = {
  resumeSetPages: 0,
  resumeSetBySource: null,
  owedPages: 0,
  faults: 0,
  bubblePages: 0,
  pushedPages: 0,
  latencyCounts: [],
  p50Us: 0,
  p99Us: 0,
  stalledMs: 0,
  remainderMs: 0,
  workingSet: null,
};

/** The event log gets a progress line this often: smooth for the eye, some 1 KB a second. */
const PROGRESS_INTERVAL_MS = 250;

/**
 * Pages flow while the guest runs, until the strategy has QEMU stop it, or until QEMU comes to its end by itself: a
 * guest that writes nothing may be done at any moment. Returns when the guest stands still.
 */
export async function live(run: SourceRun): Promise<void> {
  run.phases.enter("live");
  const { options, signal, strategy } = run;
  const settings = options.settings;
  const decide = strategy.start();
  const meter = new ProgressMeter(run);
  const stopped = new AbortController();
  run.watch((event) => {
    if (isEvent(event, "STOP")) stopped.abort();
    if (isEvent(event, "MIGRATION") && event.data.status === "completed") stopped.abort();
    if (isEvent(event, "MIGRATION") && event.data.status === "failed") {
      const gaveUp = new GodwitError("GODWIT_QEMU_MIGRATION", "QEMU gave up its migration", {
        side: "source",
        advice: `see QEMU's log ${options.machine.logPath}`,
      });
      // A QEMU that ends with its guest gives up first: its end tells why.
      if (run.guestPoweredOff) setTimeout(() => run.fail(gaveUp), ENDING_MS).unref();
      else run.fail(gaveUp);
    }
  });
  let permittedMs = 0;
  let lastProgressMs = 0;
  let hurried = false;
  if (run.moments.stoppedMs !== null) stopped.abort();
  const stopForResume = async (reason: string) => {
    run.log.append({ type: "decision", what: "stop the source for post-copy", reason });
    await stopForPostcopy(run, stopped.signal);
  };
  if (strategy.resumesFirst) await stopForResume("post-copy resumes first");
  while (!stopped.signal.aborted) {
    await tick(FIGURES_INTERVAL_MS, AbortSignal.any([signal, stopped.signal]));
    signal.throwIfAborted();
    if (stopped.signal.aborted) break;
    const figures = await run.qemu.figures(signal);
    run.rounds = figures.rounds;
    if (figures.status === "completed" || stopped.signal.aborted) break;
    const counters = run.counters;
    if (counters === null) continue;
    meter.observe(counters, figures);
    const observation: Observation = {
      atMs: run.log.atMs,
      firstPassDone: counters.firstPassDone,
      hasLookedAgain: counters.hasLookedAgain,
      backlogPages: counters.backlogPages,
      coldPages: counters.coldPages,
      dirtyPagesPerSecond: figures.dirtyPagesPerSecond,
      unlistedPages: figures.unlistedPages,
      rounds: figures.rounds,
      pagesPerSecond: meter.pagesPerSecond,
      fixedDowntimeMs: FIXED_DOWNTIME_MS,
      downtimeLimitMs: settings.downtimeLimitMs,
    };
    const decision = decide.decide(observation);
    if (decision.hurry !== hurried) {
      hurried = decision.hurry;
      run.carrier.send({ type: "hurry", on: hurried });
    }
    if (decision.action === "stop" && run.postcopy === null) {
      await stopForResume(decision.reason);
    }
    if (decision.action === "permit") {
      const wantedMs = Math.max(LEAST_STOP_MS, decision.pagesMs);
      if (wantedMs > permittedMs) {
        const what = `QEMU may stop the guest for ${Math.round(wantedMs)} ms of pages`;
        permittedMs = wantedMs;
        run.log.append({ type: "decision", what, reason: decision.reason });
        await run.qemu.permitStop(permittedMs, meter.pagesPerSecond * PAGE_BYTES, signal);
        run.carrier.send({ type: "permit-stop" });
      }
    }
    if (run.log.atMs - lastProgressMs >= PROGRESS_INTERVAL_MS) {
      lastProgressMs = run.log.atMs;
      run.log.append(meter.event("live", decision.reason));
    }
  }
}

/**
 * Has QEMU stop as soon as it can: no page leaves any more, its stream is read at memory speed, so that every sync
 * finds less, and it may stop when what it finds is read in a moment.
 */
async function stopForPostcopy(run: SourceRun, stopped: AbortSignal): Promise<void> {
  run.postcopy = { ...noPostcopy };
  run.carrier.send({ type: "hold-pages" });
  const sources = run.options.settings.resumeSet ?? null;
  run.carrier.send({ type: "resume-set", learned: run.learned, sources });
  // A guest that stands still can't tell its free pages, and those of a first pass are told when it is over.
  if (run.hints !== null && run.hints.freePages !== null) {
    await run.carrier.looksSettled(AbortSignal.any([run.signal, stopped])).catch(() => {});
    run.signal.throwIfAborted();
    if (stopped.aborted) return;
  }
  await run.qemu.permitStop(STOP_READING_MS, READING_BYTES_PER_SECOND, run.signal);
  run.carrier.send({ type: "open-gate" });
}

/** Waits a moment; an abort only ends the wait, what follows looks at the signal itself. */
function tick(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
