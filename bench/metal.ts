/**
 * Figures of bare metal: pointer discovery against QEMU's own word, what each part of the rebuild is good for, the parts
 * of the downtime, what the monitor costs. `node bench/metal.ts [pointers] [ablations] [downtime] [monitor]`; raw
 * results go to `bench/results/`, a line of JSON each.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type MetalResult, runMetal } from "../src/lab/metal-run.ts";
import { readMetalSettings } from "../src/lab/metal-settings.ts";
import type { Rtl8139State } from "../src/metal/devices/rtl8139.ts";
import { BareMetal, METAL_ARGUMENTS } from "../src/metal/index.ts";
import { memoryFile } from "../src/qemu/state-paths.ts";
import { Workshop } from "../test/qemu-machines.ts";
import { DeviceOracle, numberAt } from "../test/support/device-oracle.ts";
import { booted, forwardedPort, GuestStream, metalMachine } from "../test/support/metal-guest.ts";

const results = join(import.meta.dirname, "results");
mkdirSync(results, { recursive: true });

/** Captures of one run. */
const CAPTURES = 100;
/** Moves of one run, to and fro. */
const MOVES = 20;
/** Runs of each cell of the ablation table. */
const RUNS = 3;
/** How long the monitor's cost is measured, with and without. */
const MONITOR_MS = 5_000;

function keep(file: string, value: unknown): void {
  appendFileSync(join(results, file), `${JSON.stringify(value)}\n`);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Captures under traffic; each is compared with QEMU's word, and memory with what it was. */
async function pointers(): Promise<void> {
  await using workshop = new Workshop("10.0");
  const machine = await workshop.start(metalMachine());
  await booted(machine);
  const port = await forwardedPort(machine);
  const streams = await Promise.all([1, 2, 3, 4].map(() => GuestStream.open(port)));
  const oracle = await DeviceOracle.of(machine);
  const metal = new BareMetal(machine);
  await metal.prepare();
  const memory = () => readFileSync(memoryFile(machine.folder, machine.machine)!);
  const times: number[] = [];
  let right = 0;
  let unchanged = 0;
  const seen = new Set<string>();
  for (let capture = 0; capture < CAPTURES; capture++) {
    await sleep(20 + Math.random() * 80);
    await machine.qmp.execute("stop");
    const nic = await oracle.device("0000:00:03.0/rtl8139");
    const expected = [numberAt(nic, "currCPlusTxDesc"), numberAt(nic, "currCPlusRxDesc")];
    const before = memory();
    const startedMs = performance.now();
    const state = await metal.captureState();
    await metal.undo();
    times.push(performance.now() - startedMs);
    const found = (state.devices["rtl8139@3.0"] as Rtl8139State).pointers;
    if (found?.transmit === expected[0] && found?.receive === expected[1]) right += 1;
    if (memory().equals(before)) unchanged += 1;
    seen.add(expected.join(" "));
    await machine.qmp.execute("cont");
  }
  metal.close();
  await streams[0]!.more(100);
  const torn = streams.filter((stream) => stream.torn !== null).length;
  for (const stream of streams) stream[Symbol.dispose]();
  const worst = Math.max(...times);
  const figures = {
    captures: CAPTURES,
    right,
    unchanged,
    places: seen.size,
    medianMs: median(times),
    worstMs: worst,
  };
  keep("metal-pointers.jsonl", { ...figures, tornStreams: torn });
  console.log(figures);
}

/** What dies of what. */
async function ablations(): Promise<void> {
  const parts = ["none", "pointers", "nic", "pic", "pit", "pit,pic,ioapic,uart,rtc,nic"];
  for (let run = 0; run < RUNS; run++) {
    for (const ablate of parts) {
      const settings = readMetalSettings({ ablate, hops: 1 });
      const [result] = await runMetal(settings);
      keep("metal-ablations.jsonl", { run, ablate, ...result });
      console.log(run, ablate, result?.outcome, summary(result));
    }
  }
}

function summary(result: MetalResult | undefined): string {
  if (result === undefined) return "nothing";
  return `${result.guestAlive ? "alive" : "dead"}: ${result.pingsAfter} answers, ${result.linesAfter} lines in 5 s`;
}

/** The downtime and its parts over many moves of one guest. */
async function downtime(): Promise<void> {
  const onResult = (result: MetalResult) => keep("metal-downtime.jsonl", result);
  const moves = await runMetal(readMetalSettings({ hops: MOVES }), { onResult });
  const of = (pick: (move: MetalResult) => number | null | undefined) => {
    const values = moves.map(pick).filter((value) => value != null);
    return { median: median(values), worst: Math.max(...values) };
  };
  console.log({
    moves: moves.length,
    alive: moves.filter(({ guestAlive }) => guestAlive).length,
    downtimeMs: of((move) => move.downtimeMs),
    captureMs: of((move) => move.downtime?.captureMs),
    saveMs: of((move) => move.downtime?.saveMs),
    transferMs: of((move) => move.downtime?.transferMs),
    loadMs: of((move) => move.downtime?.loadMs),
    rebuildMs: of((move) => move.downtime?.rebuildMs),
    commitMs: of((move) => move.downtime?.commitMs),
    pauseSeenMs: of((move) => move.pauseSeenMs),
  });
}

/** Datagrams under way at a time: enough to keep an emulated guest busy. */
const UNDER_WAY = 16;

/** How many datagrams a second the guest sends back, as fast as it can, with QEMU tracing its writes and without. */
async function monitor(): Promise<void> {
  const rates: Record<string, number> = {};
  for (const kind of ["traced", "plain"]) {
    await using workshop = new Workshop("10.0");
    const machine = metalMachine({ netdev: "user,hostfwd=udp:127.0.0.1:0-:7" });
    const trace = METAL_ARGUMENTS.slice(4);
    const extraArguments = machine.extraArguments.filter(
      (word) => kind === "traced" || !trace.includes(word),
    );
    const running = await workshop.start({ ...machine, extraArguments });
    await booted(running);
    const socket = createSocket("udp4");
    const probe = Buffer.alloc(64, 7);
    let echoes = 0;
    socket.connect(await forwardedPort(running), "127.0.0.1");
    await once(socket, "connect");
    socket.on("message", () => {
      echoes += 1;
      socket.send(probe);
    });
    const start = () => {
      for (let at = 0; at < UNDER_WAY; at++) socket.send(probe);
    };
    start();
    await sleep(1000);
    echoes = 0;
    await sleep(MONITOR_MS);
    rates[kind] = (echoes * 1000) / MONITOR_MS;
    socket.close();
  }
  const figures = { echoesPerSecond: rates, ratio: rates.traced! / rates.plain! };
  keep("metal-monitor.jsonl", figures);
  console.log(figures);
}

const parts = { pointers, ablations, downtime, monitor };
const wanted = process.argv.slice(2);
for (const [name, run] of Object.entries(parts))
  if (wanted.length === 0 || wanted.includes(name)) await run();
process.exit(0);
