import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../../base/errors.ts";
import { surveyMemory } from "../../qemu/memory-layout.ts";
import { isEvent } from "../../qemu/qmp-events.ts";
import { formatVersion } from "../../qemu/version.ts";
import { Journal } from "../journal.ts";
import { readLearnedPages } from "../learned-pages.ts";
import { connectDestination } from "./connect.ts";
import { surveyHints } from "./hints.ts";
import { prepareOpaque } from "./opaque.ts";
import type { SourceRun } from "./run.ts";

/** The destination starts a QEMU before it answers, which takes up to half a minute for very large guests. */
const ACCEPT_TIMEOUT_MS = 60_000;

/** A guest's helper has at least so long, however fast the destination is: a busy guest answers within this. */
const HELPER_LEAST_MS = 500;

/**
 * Finds out whether the migration can be made, before a byte of the guest moves: the guest's own state, the way to
 * the other agent, and that agent's consent. From here on the run watches everything that may end it.
 */
export async function preflight(run: SourceRun): Promise<void> {
  const { options, signal } = run;
  const { machine } = options;
  run.guestWasPaused = !(await run.qemu.guestRuns(signal));
  run.journal = Journal.create(
    options.folder,
    {
      migrationId: options.migrationId,
      role: "source",
      vm: machine.name,
      machineFolder: machine.folder,
      peer: options.destination,
      guestPaused: run.guestWasPaused,
    },
    "started",
  );
  watchGuest(run);
  await prepareOpaque(run);

  const channel = await connectDestination(options, signal);
  run.channel = channel;
  void channel.aborted.then((error) => run.fail(error));
  void channel.closed.then((end) => run.fail(end.error));

  run.memory = await surveyMemory(machine, { signal });
  const blocks = [...run.memory.sources, ...run.memory.unreadable];
  await channel.send({
    type: "offer",
    migrationId: options.migrationId,
    vmName: machine.name,
    // `pc` means another machine in every version of QEMU.
    machine: { ...machine.machine, machine: machine.machineType },
    machineType: machine.machineType,
    qemuVersion: formatVersion(machine.version),
    memoryBlocks: blocks.map(({ block, usedBytes, pageSizeBytes }) => ({
      name: block,
      usedBytes,
      pageSizeBytes,
    })),
    guestPaused: run.guestWasPaused,
    settings: options.settings,
    sourceName: options.hostName,
  });
  const accepted = new AbortController();
  const hints = surveyHints(run, AbortSignal.any([signal, accepted.signal]));
  // Nobody waits for it where the destination refuses.
  hints.catch(() => {});
  const least = sleep(HELPER_LEAST_MS, undefined, { ref: false });
  const answer = await channel
    .receive(["accepted", "refused"], { signal, timeoutMs: ACCEPT_TIMEOUT_MS })
    .finally(() => void least.then(() => accepted.abort()));
  if (answer.type === "refused") throw GodwitError.fromRecord(answer.error).with({ side: "destination" });
  run.destinationQemu = answer.qemuVersion;
  run.destinationTakesPostcopy = answer.postcopy;
  run.learned = readLearnedPages(machine.folder);
  run.hints = await hints;
}

/** A guest that powers off, and a QEMU that dies, end the migration. */
function watchGuest(run: SourceRun): void {
  run.watch(
    (event) => {
      if (isEvent(event, "SHUTDOWN") && event.data.guest) run.guestPoweredOff = true;
    },
    (error) => run.fail(run.guestPoweredOff ? guestPoweredOff(run) : qemuGone(run, error)),
  );
}

function guestPoweredOff(run: SourceRun): GodwitError {
  return new GodwitError(
    "GODWIT_GUEST_POWERED_OFF",
    `the guest of "${run.options.machine.name}" powered off`,
    {
      side: "source",
      vmState: "powered off; nothing runs at the destination",
      advice: "start it where it is wanted",
    },
  );
}

function qemuGone(run: SourceRun, cause: unknown): GodwitError {
  return new GodwitError("GODWIT_QEMU_GONE", `QEMU of "${run.options.machine.name}" ended at the source`, {
    side: "source",
    vmState: "gone at the source; nothing runs at the destination",
    advice: `see its log ${run.options.machine.logPath}`,
    cause,
  });
}
