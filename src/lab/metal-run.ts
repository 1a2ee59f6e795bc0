import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import type { ErrorRecord } from "../base/errors.ts";
import { METAL_ARGUMENTS } from "../metal/index.ts";
import type { MigrationEvent } from "../migration/events.ts";
import type { MigrationReport } from "../migration/report.ts";
import { rebuildPartNames } from "../migration/settings.ts";
import { GodwitEngine } from "./godwit-engine.ts";
import { makeHosts } from "./hosts.ts";
import { startLabAgents } from "./lab-agent.ts";
import { labMemoryBytes } from "./lab-machine.ts";
import { MetalClient } from "./metal-client.ts";
import { MetalDisk } from "./metal-disk.ts";
import { MetalLan, streamBackend } from "./metal-lan.ts";
import type { MetalSettings } from "./metal-settings.ts";
import { labAddresses } from "./namespace-network.ts";
import { Probe } from "./probe.ts";
import { qemuBinary } from "./run.ts";
import { RunFolder, sweepStaleFolders } from "./run-folder.ts";
import { metalGuestImage } from "./toolchain.ts";

const ECHO_PORT = 7;
const STREAM_PORT = 7001;

/** An emulated guest with a full kernel boots in 10 s; a loaded machine gets two minutes. */
const BOOT_TIMEOUT_MS = 120_000;

/** The guest runs for this long between two moves. */
const BETWEEN_MS = 1000;

/**
 * After a move the guest is judged by its first seconds: later the driver's watchdog heals a NIC whose pointers are
 * wrong.
 */
const JUDGED_MS = 5000;

/** The client's pause is looked for until so long after the move. */
const AFTERMATH_MS = 500;

/** The address is of QEMU's own range, and the same wherever the guest runs. */
const MAC = "52:54:00:67:64:77";

/** What Linux says of devices that went silent. */
const COMPLAINT = /NETDEV WATCHDOG|Call Trace|Kernel panic|soft lockup|rcu.*stall|Uhhuh/;

/** One move of a physical machine. Times are milliseconds. */
export interface MetalResult {
  readonly outcome: MigrationReport["outcome"];
  /** Moves made so far, this one included. */
  readonly hops: number;
  readonly downtimeMs: number | null;
  /** Parts of the downtime, in order. `captureMs`, `rebuildMs`: of the devices that are rebuilt. */
  readonly downtime: {
    readonly captureMs: number;
    /** QEMU's saving of what travels, with the last pages. */
    readonly saveMs: number;
    /** Until the last page is written to the destination's QEMU. */
    readonly transferMs: number;
    readonly loadMs: number;
    readonly rebuildMs: number;
    readonly commitMs: number;
  } | null;
  /** The longest silence that a client outside heard, from the beginning of the move on. */
  readonly pauseSeenMs: number | null;
  /**
   * The same, of silences that reach into the switchover or come after it: the longest of all is that in which QEMU
   * under TCG begins to log dirty pages, with a memory size of the rule in `odd-memory.ts`.
   */
  readonly switchoverPauseSeenMs: number | null;
  /** Answers within 5 s after the move, of one probe a millisecond. */
  readonly pingsAfter: number;
  /** Lines of the TCP stream within these 5 s. */
  readonly linesAfter: number;
  /** Every line of the guest's TCP stream came, in order. */
  readonly streamIntact: boolean;
  readonly guestAlive: boolean;
  /** Parts that were rebuilt. */
  readonly rebuilt: readonly string[];
  /** Lines of the guest's console that tell of a device gone silent. */
  readonly complaints: readonly string[];
  /** Frames that waited in the switch for the guest. */
  readonly framesHeld: number;
  /** TCP segments that were sent again from the beginning of the move on, in either direction. */
  readonly retransmittedSegments: number;
  /** Of the guest's those that had come: they were sent again in vain. */
  readonly duplicateSegments: number;
  /** The stream's bytes in steps of 100 ms, from a second before the pause to two after it. */
  readonly bytesPerStep: readonly number[];
  /** Records that the guest had written to its disk over the network, and those that were not found as written. */
  readonly disk: { readonly records: number; readonly bad: number } | null;
  readonly devicesBytes: number;
  readonly settings: MetalSettings;
  readonly error: ErrorRecord | null;
}

/** How a run is followed. */
export interface MetalRunOptions {
  readonly signal?: AbortSignal;
  say?(text: string): void;
  onEvent?(event: MigrationEvent): void;
  onResult?(result: MetalResult): void;
}

/**
 * A physical machine under a client's eyes, moved to and fro. Ends with the first move after which the guest is not
 * alive: nothing can be learned from a dead one's next.
 */
export async function runMetal(
  settings: MetalSettings,
  options: MetalRunOptions = {},
): Promise<MetalResult[]> {
  const { signal, say = () => {} } = options;
  const waiting = signal === undefined ? {} : { signal };
  await sweepStaleFolders();
  using folder = new RunFolder();
  await using hosts = await makeHosts({
    bytesPerSecond: settings.linkBytesPerSecond,
    kind: "namespaces",
    ...waiting,
  });
  const qemu = qemuBinary(settings.qemu);
  await using lan = await MetalLan.lay(hosts, folder, qemu);
  await using disk =
    settings.diskBytesPerSecond === 0 ? null : await MetalDisk.serve(hosts.client!, folder, qemu);
  await using agents = await startLabAgents(hosts, { folder, qemu });
  say("start the guest on host a");
  const memoryBytes = await labMemoryBytes(settings, qemu);
  await using engine = await GodwitEngine.start({
    ...{ hosts, agents, giveUpMs: null },
    machineFile: machineFile(settings, memoryBytes, lan.switch.path, disk),
    settings: {
      strategy: "pre-copy",
      downtimeLimitMs: settings.downtimeLimitMs,
      metal: { leaveOut: [...settings.ablate] },
    },
  });
  const target = { host: labAddresses.guest, port: ECHO_PORT };
  await using probe = await Probe.start(hosts.client!, target);
  await probe.answeredAfter(Date.now(), { timeoutMs: BOOT_TIMEOUT_MS, ...waiting });
  await using client = await MetalClient.start(hosts.client!, labAddresses.guest, STREAM_PORT);
  const results: MetalResult[] = [];
  for (let hop = 1; hop <= settings.hops; hop++) {
    await delay(BETWEEN_MS, undefined, waiting);
    say(`move ${hop} of ${settings.hops}: from host ${engine.where.name}`);
    const result = await measureHop({ settings, lan, engine, probe, client, hop, options });
    results.push(result);
    options.onResult?.(result);
    if (!result.guestAlive || result.outcome !== "completed") break;
  }
  return results;
}

async function measureHop(run: {
  settings: MetalSettings;
  lan: MetalLan;
  engine: GodwitEngine;
  probe: Probe;
  client: MetalClient;
  hop: number;
  options: MetalRunOptions;
}): Promise<MetalResult> {
  const { settings, lan, engine, probe, client, hop, options } = run;
  const before = await client.look();
  const sentAgain = await lan.switch.retransmittedSegments();
  await lan.switch.departs(MAC);
  const beganMs = Date.now();
  let report: MigrationReport | null = null;
  const onEvent = (event: MigrationEvent) => {
    if (event.type === "phase" && event.phase === "switchover") void lan.switch.hold(MAC);
    if (event.type === "report") report = event.report;
    options.onEvent?.(event);
  };
  const move = await engine.move({
    onEvent,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const { held } = await lan.switch.release();
  const movedMs = Date.now();
  const atMove = await client.look();
  await delay(JUDGED_MS, undefined, options.signal === undefined ? {} : { signal: options.signal });
  const after = await client.look();
  const judged = await probe.look(movedMs, movedMs + JUDGED_MS);
  const whole = await probe.look(beganMs, movedMs + JUDGED_MS);
  const { switchoverAtMs } = move;
  const pause = switchoverAtMs === null ? null : await probe.look(switchoverAtMs, movedMs + AFTERMATH_MS);
  const isAlive = after.lines > atMove.lines;
  const verdict = settings.diskBytesPerSecond === 0 || !isAlive ? null : await client.verifyDisk();
  const pingsAfter = judged.sent - judged.lost;
  const linesAfter = after.lines - atMove.lines;
  return {
    outcome: move.outcome,
    hops: hop,
    downtimeMs: move.downtimeMs,
    downtime: parts(report),
    pauseSeenMs: whole.longestSilenceMs,
    switchoverPauseSeenMs: pause?.longestSilenceMs ?? null,
    pingsAfter,
    linesAfter,
    streamIntact: after.torn === null && after.lines > before.lines && after.connected,
    guestAlive: pingsAfter > 0 && linesAfter > 0,
    rebuilt: rebuildPartNames.filter((part) => !settings.ablate.includes(part)),
    complaints: complaintsIn(engine.consolePath),
    framesHeld: held,
    retransmittedSegments: (await lan.switch.retransmittedSegments()) - sentAgain,
    duplicateSegments: after.duplicateSegments - before.duplicateSegments,
    bytesPerStep: stepsAround(after, pause?.silenceFromMs ?? null),
    disk: verdict === null ? null : { records: verdict.records, bad: verdict.bad },
    devicesBytes: opaqueOf(report)?.bytes ?? 0,
    settings,
    error: move.error,
  };
}

function opaqueOf(report: MigrationReport | null) {
  return report?.opaque ?? null;
}

function parts(report: MigrationReport | null): MetalResult["downtime"] {
  if (report?.downtime == null || report.opaque === null) return null;
  const { captureMs, pagesMs, loadMs, commitMs } = report.downtime;
  const { captureMs: devicesMs, rebuildMs } = report.opaque;
  return {
    captureMs: devicesMs,
    saveMs: captureMs - devicesMs,
    transferMs: pagesMs,
    loadMs: loadMs - rebuildMs,
    rebuildMs,
    commitMs,
  };
}

function stepsAround(
  seen: { bytesPerStep: readonly number[]; sinceMs: number },
  pauseMs: number | null,
): number[] {
  if (pauseMs === null) return [];
  const at = Math.floor((pauseMs - seen.sinceMs) / 100);
  return seen.bytesPerStep.slice(Math.max(0, at - 10), at + 20);
}

function complaintsIn(path: string): string[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => COMPLAINT.test(line));
  } catch {
    return [];
  }
}

function machineFile(
  settings: MetalSettings,
  memoryBytes: number,
  lanPath: string,
  disk: MetalDisk | null,
): string {
  const { kernel, initrd } = metalGuestImage();
  const { guest, guestPrefixBits, client } = labAddresses;
  const load = [
    `godwit.hold=${settings.holdBytes}`,
    ...(settings.dirtyBytesPerSecond === 0 ? [] : [`godwit.dirty=${settings.dirtyBytesPerSecond}`]),
  ];
  const rate = settings.diskBytesPerSecond;
  const shared =
    disk === null ? [] : [`godwit.nbd=${disk.address}`, "godwit.disk=/dev/nbd0", `godwit.diskrate=${rate}`];
  const words = [
    ...["console=ttyS0", "quiet", "panic=-1", "cryptomgr.notests"],
    ...(settings.apic ? [] : ["noapic", "nolapic"]),
    ...[`godwit.ip=${guest}/${guestPrefixBits}`, `godwit.gw=${client}`, ...load, ...shared],
  ];
  return stringify({
    name: "metal",
    memory: `${memoryBytes / 1024}KiB`,
    vcpus: settings.vcpus,
    hpet: false,
    kernel,
    initrd,
    append: words.join(" "),
    memoryBackend: { kind: "file", directory: "/dev/shm" },
    nics: [{ model: settings.nic, mac: MAC, backend: { kind: "netdev", options: streamBackend(lanPath) } }],
    extraArguments: METAL_ARGUMENTS,
  });
}
