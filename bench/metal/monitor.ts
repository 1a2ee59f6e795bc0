import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { GuestControl } from "../../src/lab/guest-control.ts";
import { appendToRunLog, pendingRuns, readRunLog } from "../../src/lab/run-log.ts";
import { METAL_ARGUMENTS, MonitorKeeper } from "../../src/metal/index.ts";
import { Workshop } from "../../test/qemu-machines.ts";
import { booted, forwardedPort, metalMachine } from "../../test/support/metal-guest.ts";
import { EchoFlood } from "./echo-flood.ts";
import { median, type Part, resultsOf, say } from "./part.ts";

const REPEATS = 3;
/** The monitor looks every 5 s: two looks fall into this. */
const MEASURED_MS = 10_000;
const DISK_BYTES = 16 * 1024 ** 2;

const loads = ["network", "disk"] as const;
const kinds = ["with", "without"] as const;
type Load = (typeof loads)[number];

const cells = loads.flatMap((load) =>
  kinds.map((monitor) => ({ name: `${load}, ${monitor}`, load, monitor })),
);

const path = resultsOf("monitor");
const lineSchema = z.strictObject({
  load: z.enum(loads),
  monitor: z.enum(kinds),
  /** Datagrams sent back, or records written durably, a second. */
  perSecond: z.number(),
});

const kept = () => readRunLog(path, lineSchema);

/** What the monitor costs while nothing moves: work that a guest gets done with it and without. */
export const monitor: Part = {
  name: "monitor",

  async run(mayBegin) {
    const keptOf = ({ name }: { name: string }) =>
      kept().filter((line) => `${line.load}, ${line.monitor}` === name).length;
    for (const { cell, repeat } of pendingRuns(cells, () => REPEATS, keptOf)) {
      if (!mayBegin()) return;
      const perSecond = await measure(cell);
      appendToRunLog(path, { load: cell.load, monitor: cell.monitor, perSecond });
      say(`monitor: ${cell.name}, ${repeat}: ${perSecond.toFixed(0)} a second`);
    }
  },

  draw() {
    const lines = kept();
    const of = (load: Load, kind: (typeof kinds)[number]) =>
      median(
        lines.filter((line) => line.load === load && line.monitor === kind).map((line) => line.perSecond),
      );
    const runs = (load: Load, kind: (typeof kinds)[number]) =>
      lines.filter((line) => line.load === load && line.monitor === kind).length;
    if (lines.length === 0) return [];
    return [
      "## What the monitor costs while nothing moves",
      "",
      "Medians of what a guest gets done in 10 s: datagrams that it sends back as fast as it can, and records that it",
      "writes to a disk over the network, each durable before the next.",
      "",
      "| load | runs | a second with the monitor | without | ratio |",
      "|---|---|---|---|---|",
      ...loads.flatMap((load) => {
        const count = Math.min(...kinds.map((kind) => runs(load, kind)));
        if (count === 0) return [];
        const [traced, plain] = [of(load, "with"), of(load, "without")];
        return `| ${load} | ${count} | ${traced.toFixed(0)} | ${plain.toFixed(0)} | ${(traced / plain).toFixed(2)} |`;
      }),
      "",
    ];
  },
};

async function measure({ load, monitor: kind }: (typeof cells)[number]): Promise<number> {
  await using workshop = new Workshop("10.0");
  await using disk = load === "disk" ? await NbdServer.start(workshop) : null;
  const forwards = [7, 7000].map((port) => `hostfwd=udp:127.0.0.1:0-:${port}`).join(",");
  const words =
    disk === null ? "" : ` godwit.nbd=10.0.2.2:${disk.port} godwit.disk=/dev/nbd0 godwit.diskrate=1GB`;
  const machine = metalMachine("10.0", { netdev: `user,${forwards}`, append: `noapic nolapic${words}` });
  const trace = METAL_ARGUMENTS.slice(METAL_ARGUMENTS.indexOf("-trace"));
  const extraArguments =
    kind === "with" ? machine.extraArguments : machine.extraArguments.filter((word) => !trace.includes(word));
  const running = await workshop.start({ ...machine, extraArguments });
  await booted(running);
  using _ = kind === "with" ? MonitorKeeper.start(running) : null;
  if (load === "network") {
    using flood = await EchoFlood.open(await forwardedPort(running, 7));
    return await perSecond(async () => flood.echoes);
  }
  const guest = await GuestControl.overUdp("127.0.0.1", await forwardedPort(running, 7000));
  return await perSecond(async () => (await guest.status()).disk.records);
}

/** How fast a count grows, after a second of warming up. */
async function perSecond(count: () => Promise<number>): Promise<number> {
  await sleep(1000);
  const before = await count();
  const startedMs = performance.now();
  await sleep(MEASURED_MS);
  const after = await count();
  return ((after - before) * 1000) / (performance.now() - startedMs);
}

/** A disk over the network, on this host. */
class NbdServer implements AsyncDisposable {
  readonly #server: ChildProcess;
  readonly port: number;

  private constructor(server: ChildProcess, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(workshop: Workshop): Promise<NbdServer> {
    const image = join(workshop.folder, "disk.raw");
    writeFileSync(image, "");
    truncateSync(image, DISK_BYTES);
    const pidFile = join(workshop.folder, "nbd.pid");
    const port = await freePort();
    const where = ["--bind=127.0.0.1", `--port=${port}`, `--pid-file=${pidFile}`];
    const words = ["--persistent", "--format=raw", ...where, image];
    const server = spawn(join(dirname(workshop.binary), "qemu-nbd"), words, { stdio: "inherit" });
    while (!existsSync(pidFile)) {
      if (server.exitCode !== null) throw new Error("the NBD server does not start");
      await sleep(10);
    }
    return new NbdServer(server, port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#server, "exit");
    this.#server.kill("SIGKILL");
    await gone;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
