import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { softwareVersion } from "../agent/version.ts";
import { GodwitError } from "../base/errors.ts";
import type { MigrationEvent } from "../migration/events.ts";
import { balloonArguments } from "./balloon.ts";
import { ClientStream } from "./client-stream.ts";
import type { ClientSteps } from "./client-stream-steps.ts";
import type { Engine } from "./engine.ts";
import { GodwitEngine } from "./godwit-engine.ts";
import { type GuestLoad, loadGuest } from "./guest-load.ts";
import { type Hosts, makeHosts } from "./hosts.ts";
import { HUGE_PAGE_BYTES, HugePages } from "./huge-pages.ts";
import { startLabAgents } from "./lab-agent.ts";
import { labMachine, labMachineFile, labMemoryBytes } from "./lab-machine.ts";
import type { LabResult } from "./lab-result.ts";
import type { LabSettings, QemuStrategy } from "./lab-settings.ts";
import { measureMove } from "./measure.ts";
import { labAddresses } from "./namespace-network.ts";
import { Probe } from "./probe.ts";
import { QemuEngine } from "./qemu-engine.ts";
import { RunFolder, sweepStaleFolders } from "./run-folder.ts";
import { guestImage, type QemuVersion, qemuBuild, qemuVersions } from "./toolchain.ts";

/** The guest's UDP echo. */
const ECHO_PORT = 7;

/** The client's traffic is told from this long before a move until this long after it: the guest is idle then. */
const CLIENT_BEFORE_MS = 1500;
const CLIENT_AFTER_MS = 900;

/** A balloon whose driver reports free pages while QEMU migrates; it needs a thread of its own for that. */
const freePageHintArguments = [
  ...["-object", "iothread,id=hints"],
  ...["-device", "virtio-balloon-pci,id=balloon0,free-page-hint=on,iothread=hints,addr=0x1c"],
];

/** What a machine file says of them. */
const backends: Readonly<Record<LabSettings["memoryBackend"], Readonly<Record<string, unknown>>>> = {
  private: {},
  memfd: { memoryBackend: { kind: "memfd" } },
  "huge-pages": { memoryBackend: { kind: "memfd", hugePages: true } },
};

/** How a run is followed. */
export interface RunOptions {
  readonly signal?: AbortSignal;
  /** What happens now, for people. */
  say?(text: string): void;
  /** The progress of the move that goes on. */
  onEvent?(event: MigrationEvent): void;
  /** Each result as soon as it is there. */
  onResult?(result: LabResult): void;
  /** Writes every probe of the client into this file. */
  readonly probeFile?: string;
  /** Has a client take the guest's TCP streams, and tells what it saw of each move. */
  onClientSteps?(steps: ClientSteps): void;
  /** Has the guest's dirty rate measured by QEMU before the first move, where the engine can ask it. */
  onDirtyRate?(bytesPerSecond: number): void;
}

/**
 * One run of the lab: hosts, a guest under load, the moves that the settings ask for, teardown in all cases. After
 * a move that did not complete the rest is left out.
 */
export async function runLab(settings: LabSettings, options: RunOptions = {}): Promise<LabResult[]> {
  const { signal, say = () => {} } = options;
  const waiting = signal === undefined ? {} : { signal };
  await sweepStaleFolders();
  using folder = new RunFolder();
  await using hosts = await makeHosts({
    bytesPerSecond: settings.linkBytesPerSecond,
    latencyMs: settings.latencyMs,
    ...(settings.hosts === null ? {} : { kind: settings.hosts }),
    ...waiting,
  });
  using _huge = hugePagesFor(settings);
  await using parts = new AsyncDisposableStack();
  const load: GuestLoad = settings;
  say(`start the guest on host a of two ${hosts.kind}`);
  const engine = parts.use(await startEngine(settings, { hosts, folder, parts }, signal));
  await loadGuest(engine.controlPath, load, { ...waiting, say }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw explainWithLogs(error, engine);
  });
  const probe =
    hosts.client === null
      ? null
      : parts.use(await Probe.at(hosts.client, { host: labAddresses.guest, port: ECHO_PORT }));
  const stream =
    hosts.client === null || options.onClientSteps === undefined
      ? null
      : parts.use(await ClientStream.start(hosts.client, labAddresses.guest));
  if (options.onDirtyRate !== undefined && engine.dirtyBytesPerSecond !== undefined) {
    say("QEMU measures the guest's dirty rate");
    options.onDirtyRate(await engine.dirtyBytesPerSecond(signal));
  }
  const versions = {
    godwit: softwareVersion,
    qemu: engine.qemuVersion,
    node: process.version,
    guestKernel: guestImage().kernelRelease,
  };
  const about = { strategy: settings.strategy, settings: { ...settings }, versions };
  const results: LabResult[] = [];
  const moves = Math.max(1, settings.roundTrips * 2);
  for (let move = 1; move <= moves; move += 1) {
    say(`move ${move} of ${moves}: from host ${engine.where.name}`);
    const result = await measureMove({
      ...{ hosts, engine, probe, load, about, ...waiting },
      ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    });
    results.push(result);
    if (stream !== null) options.onClientSteps?.(await clientSteps(stream, result));
    options.onResult?.(result);
    if (result.outcome !== "completed" || result.guestVerified !== true) break;
  }
  if (options.probeFile !== undefined) await probe?.save(options.probeFile);
  return results;
}

/** For both hosts, since the guest is on two at the end of a move. @throws GodwitError `GODWIT_LAB_HUGE_PAGES` */
function hugePagesFor({ memoryBackend, memoryBytes }: LabSettings): Disposable {
  if (memoryBackend !== "huge-pages") return new DisposableStack();
  const pages = HugePages.reserve(2 * Math.ceil(memoryBytes / HUGE_PAGE_BYTES));
  if (pages.missing === null) return pages;
  throw new GodwitError("GODWIT_LAB_HUGE_PAGES", pages.missing, {
    side: "local",
    advice: "run the lab as root, right after the host's start, or with less --memory",
  });
}

/** What the client saw of a move, a little before and after included: then the guest checks itself. */
function clientSteps(stream: ClientStream, { startedAt, totalMs }: LabResult): Promise<ClientSteps> {
  const beginMs = Date.parse(startedAt);
  const endMs = totalMs === null ? Date.now() : beginMs + totalMs;
  return stream.look(beginMs - CLIENT_BEFORE_MS, endMs + CLIENT_AFTER_MS);
}

/** A version that set-up knows, or the path of a binary. @throws GodwitError `GODWIT_SETUP_MISSING`, `GODWIT_LAB_OPTION` */
export function qemuBinary(wanted: string): string {
  if (wanted.includes("/")) {
    if (existsSync(wanted)) return wanted;
    throw new GodwitError("GODWIT_LAB_OPTION", `--qemu: there is no ${wanted}`, { side: "local" });
  }
  const known: readonly string[] = ["10.0", "7.2"];
  if (known.includes(wanted)) return qemuBuild(wanted as QemuVersion).binary;
  throw new GodwitError(
    "GODWIT_LAB_OPTION",
    `--qemu: "${wanted}" is neither a path nor ${known.join(" or ")}`,
    {
      side: "local",
      advice: `here are: ${qemuVersions().join(", ")}`,
    },
  );
}

async function startEngine(
  settings: LabSettings,
  parts: { hosts: Hosts; folder: RunFolder; parts: AsyncDisposableStack },
  signal: AbortSignal | undefined,
): Promise<Engine> {
  const { hosts, folder } = parts;
  const { vcpus } = settings;
  const { kernelParameters, balloon } = settings;
  const backend = backends[settings.memoryBackend];
  const binary = qemuBinary(settings.qemu);
  const memoryBytes = await labMemoryBytes(settings, binary);
  const machine = { memoryBytes, vcpus, kernelParameters, more: backend };
  if (settings.engine === "qemu") {
    const { downtimeLimitMs, bandwidthBytesPerSecond, capabilities, parameters, giveUpMs } = settings;
    const balloonDevice = settings.freePageHint ? freePageHintArguments : balloonArguments(balloon);
    const more = { ...backend, ...(balloonDevice.length === 0 ? {} : { extraArguments: balloonDevice }) };
    return QemuEngine.start({
      ...{ hosts, folder, binary, machine: labMachine(hosts, { ...machine, more }) },
      ...{ downtimeLimitMs, bandwidthBytesPerSecond, capabilities, parameters, giveUpMs },
      strategy: settings.strategy as QemuStrategy,
      inflateToBytes: balloon === "none" ? null : balloon.inflateToBytes,
      ...(signal === undefined ? {} : { signal }),
    });
  }
  const agents = parts.parts.use(await startLabAgents(hosts, { folder, qemu: binary }));
  const {
    strategy,
    downtimeLimitMs,
    compression,
    contents,
    freePages,
    workingSet,
    resumeSet,
    dropCache,
    bandwidthBytesPerSecond,
    bubblePages,
  } = settings;
  return GodwitEngine.start({
    hosts,
    agents,
    machineFile: labMachineFile(hosts, {
      ...machine,
      ...(freePages === "held-locks" ? { more: { doorbell: true } } : {}),
    }),
    giveUpMs: settings.giveUpMs,
    settings: {
      ...{ strategy: strategy as "pre-copy", downtimeLimitMs, compression, contents },
      ...{ freePages, workingSet, dropCache },
      ...(resumeSet === null ? {} : { resumeSet: [...resumeSet] }),
      ...(bandwidthBytesPerSecond === null ? {} : { bandwidthBytesPerSecond }),
      ...(bubblePages === null ? {} : { bubblePages }),
    },
  });
}

/** The logs go with the run's folder; their last lines must not. */
function explainWithLogs(error: unknown, engine: Engine): Error {
  const tails = engine.logPaths
    .filter((path) => existsSync(path))
    .map(
      (path) =>
        `${basename(path)}: ${readFileSync(path, "utf8").trimEnd().split("\n").slice(-5).join("\n  ")}`,
    );
  const message = error instanceof Error ? error.message : String(error);
  return new GodwitError("GODWIT_LAB_GUEST", [message, ...tails].join("\n"), { side: "local", cause: error });
}
