import { setTimeout as delay } from "node:timers/promises";
import { asGodwitError } from "../base/errors.ts";
import type { Engine, EngineMove, MoveOptions } from "./engine.ts";
import type { GuestStatus } from "./guest-answers.ts";
import { GuestControl } from "./guest-control.ts";
import { damageOf, type GuestLoad, patienceMs, steady, withGuest } from "./guest-load.ts";
import type { Hosts } from "./hosts.ts";
import type { LabResult } from "./lab-result.ts";
import { machineFacts } from "./machine-facts.ts";
import type { Probe } from "./probe.ts";
import type { ProbeWindow } from "./probe-gaps.ts";

/** The silence of the client is listened to for this long before a move, so that its noise is known. */
const NOISE_MS = 2000;

/** After a move the guest must answer the client within this, or it is dead. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Then the client listens on for this long: what comes right after the resume belongs to the pause, too. */
const AFTERMATH_MS = 500;

/** And it waits for answers to what it sent until then. */
const LAST_ANSWERS_MS = 500;

/** What is measured, and with what. */
export interface Measurement extends MoveOptions {
  readonly hosts: Hosts;
  readonly engine: Engine;
  readonly probe: Probe | null;
  readonly load: Pick<GuestLoad, "dirtyBytesPerSecond" | "holdBytes">;
  /** What the result says about how it came to be. */
  readonly about: Pick<LabResult, "strategy" | "settings" | "versions">;
}

/**
 * Moves the guest to the other host and measures it: the guest checks itself before and after, the client outside
 * listens, the link counts. A move that fails is a result; only the lab's own failures are thrown.
 */
export async function measureMove(what: Measurement): Promise<LabResult> {
  const { hosts, engine } = what;
  const direction = engine.where === hosts.a ? "a-to-b" : "b-to-a";
  const machine = machineFacts();
  const before = await checkGuest(what);
  const status = await steadyGuest(what);
  const { noise, move, beginMs, link, client } = await observe(what);
  const after = move.outcome === "in-doubt" ? null : await checkGuest(what);
  const [forwardBytes, backwardBytes] =
    direction === "a-to-b" ? [link.aToB, link.bToA] : [link.bToA, link.aToB];
  return {
    outcome: move.outcome,
    engine: engine.name,
    strategy: what.about.strategy,
    direction,
    startedAt: new Date(beginMs).toISOString(),
    ...figuresOf(move),
    pauseSeenMs: silence(client?.whole),
    switchoverPauseSeenMs: silence(client?.switchover),
    bytesOnWire: forwardBytes + backwardBytes,
    link: { forwardBytes, backwardBytes },
    guestVerified: after === null ? null : before.ok && after.ok,
    guestDamage: [before.damage, after?.damage].find((damage) => damage != null) ?? null,
    load: loadOf(status),
    client: client === null ? null : clientOf(client.whole, noise),
    machine,
    versions: what.about.versions,
    settings: what.about.settings,
    hosts: hosts.kind,
    error: move.error,
  };
}

/** The move itself, between the guest's two checks of itself. */
async function observe({ hosts, engine, probe, signal, onEvent }: Measurement) {
  using _held = await holdControl(engine.controlPath, signal);
  const noise = await listen(probe, signal);
  const before = await hosts.linkBytes();
  const beginMs = Date.now();
  const move = await engine.move({
    ...(signal === undefined ? {} : { signal }),
    ...(onEvent === undefined ? {} : { onEvent }),
  });
  const endMs = Date.now();
  const after = await hosts.linkBytes();
  const link = { aToB: after.aToB - before.aToB, bToA: after.bToA - before.bToA };
  const client = probe === null ? null : await hearAgain(probe, move, { beginMs, endMs, signal });
  return { noise, move, beginMs, link, client };
}

function figuresOf(move: EngineMove) {
  const { totalMs, liveMs, setupMs, downtimeMs, downtime } = move;
  const { pages, freePages, postcopy, stalledMs, rounds, sourceEnded, cpu } = move;
  const times = { totalMs, liveMs, setupMs, downtimeMs, downtime };
  return { ...times, pages, freePages, postcopy, stalledMs, rounds, sourceEnded, cpu };
}

function silence(seen: ProbeWindow | null | undefined): number | null {
  return seen?.answeredAgain === true ? seen.longestSilenceMs : null;
}

function clientOf(seen: ProbeWindow, noise: ProbeWindow | null): LabResult["client"] {
  return {
    probes: seen.sent,
    lost: seen.lost,
    roundTripMs: seen.roundTripMs,
    noiseMs: noise?.longestSilenceMs ?? null,
    ownStallMs: seen.longestOwnStallMs,
  };
}

function loadOf(status: GuestStatus | null): LabResult["load"] {
  if (status === null) return null;
  return {
    holdBytes: status.holdBytes,
    dirtyBytesPerSecond: status.dirty.achievedBytesPerSecond,
    dirtyAreaBytes: status.dirty.areaBytes,
    readBytesPerSecond: status.read.achievedBytesPerSecond,
  };
}

async function checkGuest({
  engine,
  load,
  signal,
}: Measurement): Promise<{ ok: boolean; damage: string | null }> {
  try {
    return await withGuest(
      engine.controlPath,
      async (guest) => {
        const waiting = {
          timeoutMs: patienceMs(load.holdBytes),
          ...(signal === undefined ? {} : { signal }),
        };
        if (load.holdBytes === 0) await guest.ping(waiting);
        const damage = load.holdBytes === 0 ? null : damageOf(await guest.verify(waiting));
        return { ok: damage === null, damage };
      },
      signal,
    );
  } catch (error) {
    signal?.throwIfAborted();
    return { ok: false, damage: asGodwitError(error, "GODWIT_LAB_GUEST").message };
  }
}

/**
 * Keeps the guest's control port open: while nobody is connected, the guest's program looks for somebody again and
 * again, which would be load that nobody asked for.
 */
async function holdControl(controlPath: string, signal: AbortSignal | undefined): Promise<Disposable> {
  try {
    return await GuestControl.overSerial(controlPath, signal === undefined ? {} : { signal });
  } catch {
    signal?.throwIfAborted();
    return { [Symbol.dispose]: () => {} };
  }
}

async function steadyGuest({ engine, load, signal }: Measurement): Promise<GuestStatus | null> {
  try {
    return await withGuest(engine.controlPath, (guest) => steady(guest, load, signal), signal);
  } catch {
    signal?.throwIfAborted();
    return null;
  }
}

async function listen(probe: Probe | null, signal: AbortSignal | undefined) {
  if (probe === null) return null;
  await probe.resume();
  await probe.answeredAfter(Date.now(), {
    timeoutMs: ANSWER_TIMEOUT_MS,
    ...(signal === undefined ? {} : { signal }),
  });
  const fromMs = Date.now();
  await delay(NOISE_MS, undefined, signal === undefined ? {} : { signal });
  return probe.look(fromMs, Date.now());
}

async function hearAgain(
  probe: Probe,
  { switchoverAtMs }: EngineMove,
  { beginMs, endMs, signal }: { beginMs: number; endMs: number; signal: AbortSignal | undefined },
): Promise<{ whole: ProbeWindow; switchover: ProbeWindow | null }> {
  const waiting = signal === undefined ? {} : { signal };
  try {
    await probe.answeredAfter(endMs, { timeoutMs: ANSWER_TIMEOUT_MS, ...waiting });
  } catch {
    signal?.throwIfAborted();
  }
  const untilMs = Date.now() + AFTERMATH_MS;
  await delay(AFTERMATH_MS + LAST_ANSWERS_MS, undefined, waiting);
  await probe.pause();
  return {
    whole: await probe.look(beginMs, untilMs),
    switchover: switchoverAtMs === null ? null : await probe.look(switchoverAtMs, untilMs),
  };
}
