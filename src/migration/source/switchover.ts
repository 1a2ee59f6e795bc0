import { GodwitError } from "../../base/errors.ts";
import { waiting } from "../../base/waiting.ts";
import type { SourceRun } from "./run.ts";

/** Largest piece of device state in one message; the wire takes 4 MiB. */
const CHUNK_BYTES = 2 * 1024 * 1024;

/** The destination has everything and only has to load device state: seconds at most, unless it hangs. */
const PREPARED_TIMEOUT_MS = 60_000;

/**
 * The guest stands still. What QEMU still lists leaves, the device state crosses, the destination loads it and says
 * that it is prepared. Nothing is decided yet: any failure up to the return leads back to the source.
 */
export async function switchover(run: SourceRun): Promise<void> {
  run.phases.enter("switchover");
  const { options, signal, link, carrier } = run;
  const { migrationId } = options;
  carrier.send({ type: "open-gate" });
  if (run.moments.stoppedMs !== null) {
    await link.send({ type: "source-stopped", migrationId, stoppedAtEpochMs: run.moments.stoppedMs });
  }

  if (run.opaqueCaptured !== null) {
    const payload = await waiting(
      run.opaqueCaptured,
      { signal },
      () => new GodwitError("GODWIT_TIMEOUT", "late"),
    );
    await link.send({ type: "opaque-devices", migrationId, payload });
  }
  const state = await carrier.deviceState(signal);
  run.moments.capturedMs = state.atEpochMs;
  await Promise.all([
    sendDeviceState(run, state.bytes),
    run.postcopy === null ? sendPagesComplete(run) : sendResumeSet(run),
  ]);

  // Only a QEMU that has ended its migration has let go of its disks, and only then can it be continued, too.
  await Promise.all([run.qemu.completed(signal), carrier.streamEnded(signal)]);
  const prepared = await link.receive("prepared", { signal, timeoutMs: PREPARED_TIMEOUT_MS });
  run.moments.pagesMs = prepared.pagesCompleteAtEpochMs;
  run.moments.loadedMs = prepared.loadedAtEpochMs;
  if (run.opaque !== null) run.opaque.rebuildMs = prepared.rebuildMs;
  // It has forgotten what is stale: from here on nothing that is sent is lost.
  if (run.postcopy !== null) carrier.send({ type: "push" });
}

/** One message after the other, and none of them holds up what follows on the link. */
async function sendDeviceState({ link, options }: SourceRun, bytes: Buffer | Uint8Array): Promise<void> {
  const { migrationId } = options;
  for (let index = 0, start = 0; ; index++, start += CHUNK_BYTES) {
    const last = start + CHUNK_BYTES >= bytes.length;
    const payload = bytes.subarray(start, start + CHUNK_BYTES);
    await link.send({ type: "device-state", migrationId, index, last, payload });
    if (last) return;
  }
}

async function sendPagesComplete(run: SourceRun): Promise<void> {
  const totals = await run.carrier.pagesComplete(run.signal);
  const connections = totals.map((total) => ({ ...total }));
  await run.link.send({ type: "pages-complete", migrationId: run.options.migrationId, connections });
}

/** What leaves before a guest resumes that lacks pages: the resume set, and what the destination must forget. */
async function sendResumeSet(run: SourceRun): Promise<void> {
  const { signal, link, carrier, options } = run;
  const { migrationId } = options;
  const set = await Promise.race([carrier.resumeSetComplete(signal), carrier.pagesComplete(signal)]);
  if (!("discards" in set)) {
    // QEMU was done before it was told to make way for post-copy: nothing is owed.
    run.postcopy = null;
    const complete = set.map((total) => ({ ...total }));
    await link.send({ type: "pages-complete", migrationId, connections: complete });
    return;
  }
  const { totals, discards, owedPages, resumeSetPages, bySource } = set;
  run.postcopy = { ...run.postcopy!, owedPages, resumeSetPages, resumeSetBySource: bySource };
  run.pagesBeforeResume = totals.reduce((sum, { pages }) => sum + pages, 0);
  for (const { block, runs } of discards) {
    const bytes = new Uint8Array(runs.buffer, runs.byteOffset, runs.byteLength);
    for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
      const payload = bytes.subarray(start, start + CHUNK_BYTES);
      await link.send({ type: "discards", migrationId, block, payload });
    }
  }
  const connections = totals.map((total) => ({ ...total }));
  await link.send({ type: "resume-set-complete", migrationId, connections, owedPages });
}
