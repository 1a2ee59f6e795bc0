/**
 * Captures the streams under src/stream/fixtures from every QEMU that set-up knows:
 * `node test/capture-fixtures.ts`. Run it when a QEMU version is added, and look at the difference in size.
 */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";
import { qemuBuild, qemuVersions } from "../src/lab/toolchain.ts";
import { StreamMachine } from "./stream-machines.ts";

const FOLDER = join(import.meta.dirname, "../src/stream/fixtures");

function keep(name: string, bytes: Buffer): void {
  const params = { [constants.ZSTD_c_compressionLevel]: 19 };
  const packed = zstdCompressSync(bytes, { params });
  writeFileSync(join(FOLDER, `${name}.zst`), packed);
  console.log(`${name}: ${bytes.length} bytes, ${packed.length} compressed`);
}

/** A native post-copy of QEMU, both directions recorded on the way through a relay. */
async function capturePostcopy(binary: string): Promise<{ stream: Buffer; answers: Buffer }> {
  await using source = await StreamMachine.start(binary);
  const incoming = join(source.folder, "incoming");
  await using destination = await StreamMachine.start(binary, "defer");
  const relay = join(source.folder, "relay");
  const stream: Buffer[] = [];
  const answers: Buffer[] = [];
  for (const machine of [source, destination]) await machine.capabilities("postcopy-ram");
  await destination.qmp.execute("migrate-incoming", { uri: `unix:${incoming}` });
  const server = createServer((from: Socket) => {
    const to = connect(incoming);
    from.on("data", (chunk: Buffer) => stream.push(chunk)).pipe(to);
    to.on("data", (chunk: Buffer) => answers.push(chunk)).pipe(from);
  });
  server.listen(relay);
  await once(server, "listening");
  await source.runAWhile();
  // Slow enough that the guest asks for pages before they come by themselves.
  const slow = { "max-bandwidth": 200_000, "max-postcopy-bandwidth": 300_000 };
  await source.qmp.execute("migrate-set-parameters", slow);
  await source.qmp.execute("migrate", { uri: `unix:${relay}` });
  await source.migrationStatus("active");
  await source.qmp.execute("migrate-start-postcopy");
  await destination.runState("paused");
  await destination.qmp.execute("cont");
  await source.migrationStatus("completed");
  await destination.migrationStatus("completed");
  server.close();
  return { stream: Buffer.concat(stream), answers: Buffer.concat(answers) };
}

for (const version of qemuVersions()) {
  const build = qemuBuild(version);
  {
    await using machine = await StreamMachine.start(build.binary);
    await machine.runAWhile();
    await machine.qmp.execute("stop");
    keep(`qemu-${build.version}-precopy.stream`, await machine.capture());
  }
  {
    await using machine = await StreamMachine.start(build.binary);
    await machine.capabilities("x-ignore-shared");
    keep(`qemu-${build.version}-ignore-shared.stream`, await machine.capture());
  }
  const { stream, answers } = await capturePostcopy(build.binary);
  keep(`qemu-${build.version}-postcopy.stream`, stream);
  keep(`qemu-${build.version}-postcopy.answers`, answers);
}
