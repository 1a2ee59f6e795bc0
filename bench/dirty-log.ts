/**
 * Whether a QEMU's dirty log loses updates under TCG. QEMU migrates into this process, nothing of Godwit's strategies
 * takes part: the newest contents of each page that its stream says are kept, and when it has stopped the guest and
 * completed they are compared with the memory that it stopped with. Every page must be equal. Then the guest goes on
 * and it is done again. Each round is kept as a line of `bench/results/dirty-log.jsonl`.
 *
 *     node bench/dirty-log.ts [--qemu 7.2] [--rounds 100] [--dirty 100]    (MB a second over 64 MiB)
 */
import { once } from "node:events";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { GuestControl } from "../src/lab/guest-control.ts";
import { guestImage, type QemuVersion, qemuBuild } from "../src/lab/toolchain.ts";
import { GuestMemory } from "../src/qemu/guest-memory.ts";
import { parseMachineFile } from "../src/qemu/machine-file.ts";
import { surveyMemory } from "../src/qemu/memory-layout.ts";
import { isEvent } from "../src/qemu/qmp-events.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { startMachine } from "../src/qemu/start.ts";
import { formatVersion } from "../src/qemu/version.ts";
import { StreamReader } from "../src/stream/index.ts";

const PAGE_BYTES = 4096;
/** The size that avoids the known loss of QEMU before 8.2: not a multiple of 256 KiB. */
const MEMORY = "262152KiB";
const CHANNEL = "org.godwit.lab.0";
const results = join(import.meta.dirname, "results/dirty-log.jsonl");

const { values } = parseArgs({
  options: {
    qemu: { type: "string", default: "7.2" },
    rounds: { type: "string", default: "100" },
    dirty: { type: "string", default: "100" },
  },
});

interface Round {
  readonly syncs: number;
  readonly bytes: number;
  readonly stalePages: readonly { block: string; page: number }[];
}

/** Reads from QEMU as fast as 1 Gbit/s would, so that there are many syncs. */
const BYTES_PER_SECOND = 125_000_000;

/** One migration into our hands. The guest stands at the end. */
async function migrateIntoHands(machine: RunningMachine, path: string): Promise<Round> {
  const { qmp } = machine;
  const image = new Map<string, Buffer>();
  const names: string[] = [];
  const reader = new StreamReader({
    ramStart(_section, blocks) {
      for (const { name, usedBytes } of blocks) {
        names.push(name);
        image.set(name, Buffer.alloc(usedBytes));
      }
    },
    page(block, page, content, offset) {
      image.get(names[block]!)!.set(content.subarray(offset, offset + PAGE_BYTES), page * PAGE_BYTES);
    },
    zeroPage(block, page) {
      image.get(names[block]!)!.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    },
  });
  const server = createServer().listen(path);
  await once(server, "listening");
  const connected = once(server, "connection");
  const completed = qmp.waitForEvent(
    (event) => isEvent(event, "MIGRATION") && event.data.status === "completed",
  );
  await qmp.execute("migrate", { uri: `unix:${path}` });
  const [connection] = (await connected) as [Socket];
  connection.on("data", (bytes: Buffer) => reader.push(bytes));
  await Promise.all([completed, once(connection, "end")]);
  server.close();
  reader.end();
  const info = await qmp.execute("query-migrate");
  const { sources } = await surveyMemory(machine, {});
  const memory = new GuestMemory(sources);
  const stalePages: { block: string; page: number }[] = [];
  for (const { block, usedBytes } of sources) {
    const sent = image.get(block)!;
    const now = Buffer.alloc(usedBytes);
    memory.read(block, 0, usedBytes / PAGE_BYTES, now, 0);
    for (let at = 0; at < usedBytes; at += PAGE_BYTES) {
      if (now.compare(sent, at, at + PAGE_BYTES, at, at + PAGE_BYTES) !== 0)
        stalePages.push({ block, page: at / PAGE_BYTES });
    }
  }
  memory.close();
  return { syncs: info.ram?.["dirty-sync-count"] ?? 0, bytes: info.ram?.transferred ?? 0, stalePages };
}

const folder = mkdtempSync(join(tmpdir(), "godwit-dirty-log-"));
const { kernel, initrd } = guestImage();
const machine = await startMachine(
  parseMachineFile(`name: web
memory: ${MEMORY}
kernel: ${kernel}
initrd: ${initrd}
append: "console=ttyS0 quiet"
channels: [{name: ${CHANNEL}}]
`),
  { stateFolder: join(folder, "web"), qemu: qemuBuild(values.qemu as QemuVersion).binary },
);
let lost = 0;
const end = () => process.kill(machine.pid, "SIGKILL");
// Whatever waits for QEMU then ends with it.
process.once("SIGINT", end).once("SIGTERM", end);
try {
  const { qmp } = machine;
  {
    using guest = await GuestControl.overSerial(machine.channelPath(CHANNEL));
    const bytes = 64 * 1024 ** 2;
    await guest.load({
      holdBytes: bytes,
      content: "text",
      hotBytes: bytes,
      dirtyBytesPerSecond: Number(values.dirty) * 1e6,
    });
    await guest.waitUntilReady();
  }
  await qmp.execute("migrate-set-capabilities", { capabilities: [{ capability: "events", state: true }] });
  await qmp.execute("migrate-set-parameters", { "max-bandwidth": BYTES_PER_SECOND, "downtime-limit": 300 });
  mkdirSync(join(import.meta.dirname, "results"), { recursive: true });
  for (let round = 1; round <= Number(values.rounds); round++) {
    const result = await migrateIntoHands(machine, join(folder, `stream-${round}`));
    if (result.stalePages.length > 0) lost += 1;
    const line = { qemu: formatVersion(machine.version), round, ...result };
    appendFileSync(results, `${JSON.stringify(line)}\n`);
    process.stdout.write(
      `round ${round}: ${result.syncs} syncs, ${result.stalePages.length} stale pages; ${lost} of ${round} rounds lost an update\n`,
    );
    await qmp.execute("cont");
  }
} finally {
  if (machine.runs) end();
  while (machine.runs) await new Promise((resolve) => setTimeout(resolve, 5));
  machine.release();
  rmSync(folder, { recursive: true });
}
