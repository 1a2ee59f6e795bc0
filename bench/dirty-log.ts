/**
 * Whether the dirty log of QEMU 10.0 loses updates under TCG, and with which memory sizes. QEMU migrates into this process,
 * nothing of Godwit's strategies takes part: the newest contents of each page that its stream says are kept, and when
 * it has stopped the guest and completed they are compared with the memory that it stopped with. Every page must be
 * equal. Then the guest goes on and it is done again. Two guests, alike but for the size of their memory, go through
 * each round at the same time, so that both are disturbed alike. Each is kept as a line of
 * `bench/results/dirty-log.jsonl`.
 *
 *     node bench/dirty-log.ts [--rounds 20] [--syncs 150] [--memory 256MiB,262152KiB]
 */
import { once } from "node:events";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { GuestControl } from "../src/lab/guest-control.ts";
import { guestImage, qemuBuild } from "../src/lab/toolchain.ts";
import { GuestMemory } from "../src/qemu/guest-memory.ts";
import { parseMachineFile } from "../src/qemu/machine-file.ts";
import { surveyMemory } from "../src/qemu/memory-layout.ts";
import { isEvent } from "../src/qemu/qmp-events.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { startMachine } from "../src/qemu/start.ts";
import { formatVersion } from "../src/qemu/version.ts";
import { StreamReader } from "../src/stream/index.ts";

const PAGE_BYTES = 4096;
const CHANNEL = "org.godwit.lab.0";
const results = join(import.meta.dirname, "results/dirty-log.jsonl");

/** All of it is dirtied as fast as the guest can. */
const HOT_BYTES = 4 * 1024 ** 2;
const DIRTY_BYTES_PER_SECOND = 1e9;
/** QEMU sends a burst in each tenth of a second, with syncs in between. */
const BYTES_PER_SECOND = 200e6;
/** As if so slow a link were left for the stop, nothing converges; and as if so quick a one were, everything. */
const SLOWEST_BYTES_PER_SECOND = 1000;
const QUICKEST_BYTES_PER_SECOND = 100e6;
const LIMIT_MS = 1;
const LAST_LIMIT_MS = 10_000;

/** An emulated guest boots in 3 to 10 s; a machine that is kept from running most of the time gets two minutes. */
const BOOT_TIMEOUT_MS = 120_000;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    syncs: { type: "string", default: "150" },
    memory: { type: "string", default: "256MiB,262152KiB" },
  },
});

interface StalePage {
  readonly block: string;
  readonly page: number;
  /** How many of its 512 words differ, and the first and the last that do. */
  readonly words: number;
  readonly firstByte: number;
  readonly lastByte: number;
}

interface Round {
  readonly syncs: number;
  readonly bytes: number;
  readonly stalePages: readonly StalePage[];
}

/** What QEMU's stream says of the guest's memory, kept as it comes. */
class Image {
  readonly #blocks: { name: string; content: Buffer }[] = [];
  readonly reader = new StreamReader({
    ramStart: (_section, blocks) => {
      for (const { name, usedBytes } of blocks) this.#blocks.push({ name, content: Buffer.alloc(usedBytes) });
    },
    page: (block, page, content, offset) => {
      this.#blocks[block]!.content.set(content.subarray(offset, offset + PAGE_BYTES), page * PAGE_BYTES);
    },
    zeroPage: (block, page) => {
      this.#blocks[block]!.content.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    },
  });

  /** The pages that the stopped machine has otherwise. */
  async stalePages(machine: RunningMachine): Promise<StalePage[]> {
    const { sources } = await surveyMemory(machine, {});
    const memory = new GuestMemory(sources);
    const stale: StalePage[] = [];
    for (const [index, { block, usedBytes }] of sources.entries()) {
      const said = this.#blocks.find(({ name }) => name === block)!.content;
      const now = Buffer.alloc(usedBytes);
      memory.read(index, 0, usedBytes / PAGE_BYTES, now, 0);
      for (let at = 0; at < usedBytes; at += PAGE_BYTES) {
        if (now.compare(said, at, at + PAGE_BYTES, at, at + PAGE_BYTES) === 0) continue;
        const words: number[] = [];
        for (let byte = 0; byte < PAGE_BYTES; byte += 8) {
          if (now.readBigUInt64LE(at + byte) !== said.readBigUInt64LE(at + byte)) words.push(byte);
        }
        const [firstByte, lastByte] = [words[0]!, words.at(-1)!];
        stale.push({ block, page: at / PAGE_BYTES, words: words.length, firstByte, lastByte });
      }
    }
    memory.close();
    return stale;
  }
}

/** One migration into our hands. The guest stands at the end. */
async function migrateIntoHands(machine: RunningMachine, path: string, syncs: number): Promise<Round> {
  const { qmp } = machine;
  const image = new Image();
  const server = createServer().listen(path);
  await once(server, "listening");
  const connected = once(server, "connection");
  const synced = qmp.waitForEvent((event) => isEvent(event, "MIGRATION_PASS") && event.data.pass >= syncs);
  const completed = qmp.waitForEvent(
    (event) => isEvent(event, "MIGRATION") && event.data.status === "completed",
  );
  await qmp.execute("migrate-set-parameters", {
    "max-bandwidth": BYTES_PER_SECOND,
    "avail-switchover-bandwidth": SLOWEST_BYTES_PER_SECOND,
    "downtime-limit": LIMIT_MS,
  });
  await qmp.execute("migrate", { uri: `unix:${path}` });
  const [connection] = (await connected) as [Socket];
  const ended = once(connection, "end");
  connection.on("data", (bytes: Buffer) => image.reader.push(bytes));
  await Promise.race([synced, completed]);
  await qmp.execute("migrate-set-parameters", {
    "avail-switchover-bandwidth": QUICKEST_BYTES_PER_SECOND,
    "downtime-limit": LAST_LIMIT_MS,
  });
  await Promise.all([completed, ended]);
  server.close();
  image.reader.end();
  const info = await qmp.execute("query-migrate");
  return {
    syncs: info.ram?.["dirty-sync-count"] ?? 0,
    bytes: info.ram?.transferred ?? 0,
    stalePages: await image.stalePages(machine),
  };
}

const folder = mkdtempSync(join(tmpdir(), "godwit-dirty-log-"));
const machines: { machine: RunningMachine; memory: string; syncs: number; stale: number; lost: number }[] =
  [];
const end = () => {
  for (const { machine } of machines) if (machine.runs) process.kill(machine.pid, "SIGKILL");
};
// Whatever waits for QEMU then ends with it.
process.once("SIGINT", end).once("SIGTERM", end);
try {
  const { kernel, initrd } = guestImage();
  for (const memory of values.memory.split(",")) {
    const file = `name: web
memory: ${memory}
kernel: ${kernel}
initrd: ${initrd}
append: "console=ttyS0 quiet"
channels: [{name: ${CHANNEL}}]
`;
    const stateFolder = join(folder, memory);
    const machine = await startMachine(parseMachineFile(file), {
      stateFolder,
      qemu: qemuBuild("10.0").binary,
    });
    machines.push({ machine, memory, syncs: 0, stale: 0, lost: 0 });
    using guest = await GuestControl.overSerial(machine.channelPath(CHANNEL));
    await guest.ping({ timeoutMs: BOOT_TIMEOUT_MS });
  }
  for (const { machine } of machines) {
    using guest = await GuestControl.overSerial(machine.channelPath(CHANNEL));
    await guest.load({
      holdBytes: HOT_BYTES,
      content: "text",
      hotBytes: HOT_BYTES,
      dirtyBytesPerSecond: DIRTY_BYTES_PER_SECOND,
    });
    await guest.waitUntilReady();
    const capabilities = [{ capability: "events" as const, state: true }];
    await machine.qmp.execute("migrate-set-capabilities", { capabilities });
  }
  mkdirSync(join(import.meta.dirname, "results"), { recursive: true });
  for (let round = 1; round <= Number(values.rounds); round++) {
    await Promise.all(
      machines.map(async (entry) => {
        const { machine, memory } = entry;
        const path = join(folder, `${memory}-${round}`);
        const result = await migrateIntoHands(machine, path, Number(values.syncs));
        entry.syncs += result.syncs;
        entry.stale += result.stalePages.length;
        entry.lost += Number(result.stalePages.length > 0);
        const line = { qemu: formatVersion(machine.version), memory, round, ...result };
        appendFileSync(results, `${JSON.stringify(line)}\n`);
      }),
    );
    const sums = machines.map(
      ({ memory, syncs, stale, lost }) =>
        `${memory}: ${stale} pages in ${syncs} syncs, ${lost} of ${round} rounds`,
    );
    process.stdout.write(`stale with ${sums.join("; with ")}\n`);
    for (const { machine } of machines) await machine.qmp.execute("cont");
  }
} finally {
  end();
  for (const { machine } of machines) {
    while (machine.runs) await new Promise((resolve) => setTimeout(resolve, 5));
    machine.release();
  }
  rmSync(folder, { recursive: true });
}
