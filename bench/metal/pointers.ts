import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { appendToRunLog, readRunLog } from "../../src/lab/run-log.ts";
import type { Rtl8139State } from "../../src/metal/devices/rtl8139.ts";
import { BareMetal } from "../../src/metal/index.ts";
import { memoryFile } from "../../src/qemu/state-paths.ts";
import { Workshop } from "../../test/qemu-machines.ts";
import { DeviceOracle, numberAt } from "../../test/support/device-oracle.ts";
import { booted, forwardedPort, GuestStream, metalMachine } from "../../test/support/metal-guest.ts";
import { EchoFlood } from "./echo-flood.ts";
import { median, type Part, resultsOf, say } from "./part.ts";

/** What the issue asks for, and some more. */
const CAPTURES = 120;

/** Kept together: what left the machine is looked at after each batch. */
const BATCH = 10;

/** TCP streams at a time, besides datagrams of which so many are under way. */
const STREAMS = 4;
const DATAGRAMS = 2;

/** A guest that is busy with datagrams, and held for most of the time, may be long about its streams. */
const ALIVE_TIMEOUT_MS = 30_000;

/** The frames of the search have this type (`src/metal/devices/ring-pointers.ts`). */
const DUMMY_TYPE = 0x88b5;

const path = resultsOf("pointers");
const lineSchema = z.strictObject({
  captures: z.int(),
  /** Captures whose pointers are those that QEMU has. */
  right: z.int(),
  /** Captures after whose undoing memory was as before, byte by byte. */
  unchanged: z.int(),
  /** Where the pointers were: transmit and receive. */
  places: z.array(z.string()),
  /** Capture of all devices and undoing it, in milliseconds. */
  times: z.array(z.number()),
  /** Frames that the guest's NIC let out since the batch before, and dummies among them. */
  framesOutside: z.int(),
  dummiesOutside: z.int(),
  tornStreams: z.int(),
});

const kept = () => readRunLog(path, lineSchema);
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const missing = () => CAPTURES - sum(kept().map(({ captures }) => captures));

/** Captures under traffic: each is compared with QEMU's word, and memory with what it was. */
export const pointers: Part = {
  name: "pointers",

  async run(mayBegin) {
    if (missing() <= 0 || !mayBegin()) return;
    await using workshop = new Workshop("10.0");
    const plain = metalMachine("10.0", {
      netdev: "user,hostfwd=tcp:127.0.0.1:0-:7001,hostfwd=udp:127.0.0.1:0-:7",
    });
    const dump = ["-object", "filter-dump,id=outside,netdev=net0-backend,file=outside.pcap"];
    const machine = await workshop.start({ ...plain, extraArguments: [...plain.extraArguments, ...dump] });
    await booted(machine);
    const port = await forwardedPort(machine, 7001);
    const streams = await Promise.all(Array.from({ length: STREAMS }, () => GuestStream.open(port)));
    const flood = await EchoFlood.open(await forwardedPort(machine, 7), DATAGRAMS);
    const oracle = await DeviceOracle.of(machine);
    const metal = new BareMetal(machine);
    await metal.prepare();
    const memory = () => readFileSync(memoryFile(machine.folder, machine.machine)!);
    const outside = new CaptureFile(join(machine.folder, "outside.pcap"));
    while (missing() > 0 && mayBegin()) {
      const places: string[] = [];
      const times: number[] = [];
      let right = 0;
      let unchanged = 0;
      for (let capture = 0; capture < BATCH; capture++) {
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
        places.push(expected.join(" "));
        await machine.qmp.execute("cont");
      }
      await anyOf(flood, streams);
      const tornStreams = streams.filter(({ torn }) => torn !== null).length;
      const seen = outside.more();
      appendToRunLog(path, { captures: BATCH, right, unchanged, places, times, ...seen, tornStreams });
      say(`pointers: ${missing()} to go; ${right} of ${BATCH} right, ${flood.echoes} echoes so far`);
    }
    metal.close();
    flood[Symbol.dispose]();
    for (const stream of streams) await stream.more(100, ALIVE_TIMEOUT_MS);
    for (const stream of streams) stream[Symbol.dispose]();
  },

  draw() {
    const lines = kept();
    if (lines.length === 0) return [];
    const times = lines.flatMap((line) => line.times);
    const of = (pick: (line: z.output<typeof lineSchema>) => number) => sum(lines.map(pick));
    return [
      "## Pointer discovery",
      "",
      "Captures of a machine under four TCP streams and a flood of datagrams, each judged by QEMU's own word; the guest's",
      "streams went on afterwards. Frames outside are those that its NIC let out or was given.",
      "",
      "| captures | right | memory unchanged | places | frames outside | dummies among them | torn streams | capture and undo, median ms | worst ms |",
      "|---|---|---|---|---|---|---|---|---|",
      `| ${[
        of((line) => line.captures),
        of((line) => line.right),
        of((line) => line.unchanged),
        new Set(lines.flatMap((line) => line.places)).size,
        of((line) => line.framesOutside),
        of((line) => line.dummiesOutside),
        of((line) => line.tornStreams),
        median(times).toFixed(0),
        Math.max(...times).toFixed(0),
      ].join(" | ")} |`,
      "",
    ];
  },
};

/** Waits until the guest has answered or sent something, a sign that its NIC is at work. */
async function anyOf(flood: EchoFlood, streams: readonly GuestStream[]): Promise<void> {
  const count = () => flood.echoes + sum(streams.map(({ lines }) => lines));
  const wanted = count() + 50;
  const deadline = performance.now() + ALIVE_TIMEOUT_MS;
  while (count() < wanted) {
    if (performance.now() > deadline) throw new Error("the guest neither answers nor sends");
    await sleep(10);
  }
}

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;

/** A pcap file that grows: what QEMU's filter-dump saw at a NIC's outer side. */
class CaptureFile {
  readonly #path: string;
  #read = FILE_HEADER_BYTES;

  constructor(path: string) {
    this.#path = path;
  }

  /** The frames since the last look. */
  more(): { framesOutside: number; dummiesOutside: number } {
    const bytes = readFileSync(this.#path);
    let framesOutside = 0;
    let dummiesOutside = 0;
    while (this.#read + RECORD_HEADER_BYTES <= bytes.length) {
      const length = bytes.readUInt32LE(this.#read + 8);
      const frame = this.#read + RECORD_HEADER_BYTES;
      if (frame + length > bytes.length) break;
      framesOutside += 1;
      if (length >= 14 && bytes.readUInt16BE(frame + 12) === DUMMY_TYPE) dummiesOutside += 1;
      this.#read = frame + length;
    }
    return { framesOutside, dummiesOutside };
  }
}
