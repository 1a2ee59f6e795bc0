import { randomBytes } from "node:crypto";
import { GodwitError } from "../../base/errors.ts";
import type { MemorySource } from "../../qemu/memory-source.ts";
import { isEvent } from "../../qemu/qmp-events.ts";
import { GATE_OPEN } from "../data/feed-gate.ts";
import { strategies } from "../strategies/index.ts";
import type { Strategy } from "../strategies/strategy.ts";
import { SourceData } from "./data.ts";
import { hintsFor } from "./hints.ts";
import { captureAtSwitchover } from "./opaque.ts";
import type { SourceRun } from "./run.ts";

/**
 * Backlog above which QEMU is held after its first pass: 2 MiB. Small enough to be gone in 17 ms at 1 Gbit/s, large
 * enough that the connections never run dry while QEMU is woken.
 */
const GATE_PAGES = 512;

/** QEMU 7.2 under TCG needs up to 5 s for the first dirty sync of an 8 GiB guest; larger guests more. */
const HEAD_TIMEOUT_MS = 120_000;

/** The destination has the ports by now and only has to dial. */
const BULK_TIMEOUT_MS = 30_000;

/**
 * Starts QEMU's migration into the data process and joins it with the other side's: at the end the head of the
 * stream has crossed, every bulk connection stands, and the first page may flow.
 */
export async function setup(run: SourceRun): Promise<void> {
  run.phases.enter("setup");
  const { options, signal, link } = run;
  const { machine, settings, migrationId } = options;
  const readable = readableBlocks(run);
  const strategy = settleStrategy(run, readable);
  if (run.hints !== null) run.hints = hintsFor(run.hints, strategy);
  await run.qemu.prepare(signal, options.opaque !== undefined);
  captureAtSwitchover(run);
  run.watch((event) => {
    if (isEvent(event, "STOP") && run.moments.stoppedMs === null) {
      run.moments.stoppedMs = event.timestampMs;
      run.data?.send({ type: "open-gate" });
    }
  });
  const stopsNow = strategy.stopsFirst && !run.guestWasPaused;
  // Only a guest that runs can tell its free pages: it stands still before the first page leaves all the same.
  const looksFirst = stopsNow && run.hints !== null;
  if (stopsNow && !looksFirst) await machine.qmp.execute("stop", {}, { signal });

  const socket = await run.qemu.start(signal);
  const data = new SourceData(socket, (error) => run.failByData(error));
  run.data = data;
  data.onLooks(
    (look) => run.looks.push(look),
    (error) =>
      run.log.append({ type: "decision", what: "send free pages like others", reason: error.message }),
  );
  const tokenHex = randomBytes(32).toString("hex");
  data.send({
    type: "start",
    credentials: options.credentials,
    peerName: options.destination.name,
    listen: options.bulkListen,
    tokenHex,
    connections: settings.bulkConnections,
    compression: settings.compression,
    bandwidthBytesPerSecond: settings.bandwidthBytesPerSecond ?? null,
    memory: readable,
    order: strategy.order,
    // The destination has prepared its QEMU for it by now, and a connection for faults with that.
    postcopy: run.destinationTakesPostcopy ? { bubblePages: settings.bubblePages ?? null } : null,
    hints: run.hints,
    hostPageBytes: hostPageBytesOf(run),
    cut: options.opaque?.sections ?? [],
    acknowledged: run.qemu.waitsForAcknowledgement,
    gatePages: (stopsNow && !looksFirst) || run.guestWasPaused ? GATE_OPEN : GATE_PAGES,
  });

  const ports = await data.listening(signal);
  const head = await data.head(AbortSignal.any([signal, AbortSignal.timeout(HEAD_TIMEOUT_MS)]));
  if (looksFirst || strategy.resumesFirst) data.send({ type: "hold-pages" });
  await link.send({
    type: "stream-head",
    migrationId,
    ramSectionId: head.sectionId,
    blocks: [...head.blocks],
    totalBytes: head.totalBytes,
    payload: head.configuration,
  });
  await link.send({
    type: "bulk-offer",
    migrationId,
    ports: [...ports],
    tokenHex,
    compression: settings.compression,
  });
  await link.receive("bulk-connected", { signal, timeoutMs: BULK_TIMEOUT_MS });
  await data.connected(signal);
  run.moments.liveMs = Date.now();
  if (looksFirst) {
    await data.looksSettled(signal);
    await machine.qmp.execute("stop", {}, { signal });
    data.send({ type: "deal-pages" });
  }
}

/** Post-copy wants a destination that can, and contents that are there when they are asked for; else pre-copy it is. */
function settleStrategy(run: SourceRun, readable: readonly MemorySource[]): Strategy {
  if (!run.strategy.postcopy) return run.strategy;
  const { contents } = run.options.settings;
  const why = !run.destinationTakesPostcopy
    ? "the destination's QEMU can't wait for pages (postcopy-ram, user faults, host pages of the same size)"
    : contents === "stream" || readable.length === 0
      ? "page contents come from QEMU's stream, which says each page once"
      : run.guestWasPaused
        ? "a paused guest has no pause to shorten"
        : null;
  if (why !== null) {
    run.log.append({ type: "decision", what: `pre-copy instead of ${run.strategy.name}`, reason: why });
    run.strategy = strategies["pre-copy"];
  }
  return run.strategy;
}

/** Only what post-copy has to keep whole. */
function hostPageBytesOf({ memory, destinationTakesPostcopy }: SourceRun): Record<string, number> {
  if (!destinationTakesPostcopy) return {};
  const blocks = [...memory.sources, ...memory.unreadable].filter(
    ({ pageSizeBytes }) => pageSizeBytes > 4096,
  );
  return Object.fromEntries(blocks.map(({ block, pageSizeBytes }) => [block, pageSizeBytes]));
}

/** The RAM blocks whose contents are read from outside when they are sent; those of the others come from the stream. */
function readableBlocks(run: SourceRun): readonly MemorySource[] {
  const { contents } = run.options.settings;
  const { sources, unreadable } = run.memory;
  if (contents === "stream") return [];
  const main = [...unreadable].sort((a, b) => b.usedBytes - a.usedBytes)[0];
  const mainIsUnreadable = main !== undefined && sources.every(({ usedBytes }) => usedBytes < main.usedBytes);
  if (mainIsUnreadable && contents === "memory") {
    throw new GodwitError("GODWIT_GUEST_MEMORY", `guest memory can't be read from outside: ${main.reason}`, {
      advice: "run the agent as root or as the user that QEMU runs as, or let contents come from the stream",
    });
  }
  if (mainIsUnreadable) {
    run.log.append({ type: "decision", what: "page contents come from QEMU's stream", reason: main.reason });
  }
  return sources;
}
