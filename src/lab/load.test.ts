import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { constants, zstdCompressSync } from "node:zlib";
import { GuestControl } from "./guest-control.ts";
import { type LoadProcess, startLoad } from "./load-process.ts";
import { toolchain } from "./toolchain.ts";

const MIB = 1 << 20;
const binary = loadBinary();
const options =
  binary === undefined ? { skip: "set-up has not built the load generator" } : { timeout: 120_000 };

function loadBinary(): string | undefined {
  try {
    return toolchain().guest?.load;
  } catch {
    return undefined;
  }
}

async function startServing(context: TestContext, settings: readonly string[] = []) {
  const load = await startLoad(binary!, "serve", settings);
  context.after(() => load.stop());
  const port = Number(load.ready.controlPort);
  const guest = await GuestControl.overUdp("127.0.0.1", port);
  context.after(() => guest.close());
  return { load, port, guest };
}

/** Waits until the dirtier has made so many more updates. */
async function updatesPast(guest: GuestControl, more: number): Promise<void> {
  const wanted = (await guest.status()).updates + more;
  while ((await guest.status()).updates < wanted);
}

test(
  "held memory is found good while it is being dirtied, in every order and way of rewriting",
  options,
  async (context) => {
    const { guest } = await startServing(context);
    await guest.load({
      holdBytes: 16 * MIB,
      hotBytes: 4 * MIB,
      dirtyBytesPerSecond: 200e6,
      readBytesPerSecond: 50e6,
    });
    await guest.waitUntilReady();
    for (const rewrite of ["stamps", "pages"] as const) {
      for (const order of ["sequential", "random"] as const) {
        await guest.set({ rewrite, order });
        await updatesPast(guest, 2000);
        const verdict = await guest.verify();
        assert.equal(verdict.pages, 4096);
        assert.equal(verdict.bad, 0, JSON.stringify(verdict));
        assert.ok(verdict.generation > 1);
      }
    }
  },
);

test("only the hot area is dirtied", options, async (context) => {
  const { guest, load } = await startServing(context, ["hold=8M", "content=random", "hot=1M", "dirty=100MB"]);
  await guest.waitUntilReady();
  const before = heldMemory(load, 4 * MIB, 6 * MIB);
  await updatesPast(guest, 2000);
  assert.deepEqual(heldMemory(load, 4 * MIB, 6 * MIB), before);
});

for (const kind of ["torn", "stale", "lost", "tracker"] as const) {
  test(`verify tells a ${kind} page from all others`, options, async (context) => {
    const { guest } = await startServing(context, ["hold=4M"]);
    await guest.waitUntilReady();
    await guest.corrupt(kind, 77);
    const verdict = await guest.verify();
    const expected = { torn: 0, stale: 0, lost: 0, tracker: 0, [kind]: 1 };
    const { torn, stale, lost, tracker } = verdict;
    assert.deepEqual({ torn, stale, lost, tracker }, expected);
    assert.equal(verdict.bad, 1);
    const listed = verdict.first.map((bad) => [bad.page, bad.kind]);
    assert.deepEqual(listed, kind === "tracker" ? [] : [[77, kind]]);
  });
}

test("text compresses like ordinary memory, random content not at all", options, async (context) => {
  for (const [content, least, most] of [
    ["text", 0.3, 0.35],
    ["random", 0.97, 1.01],
  ] as const) {
    const { guest, load } = await startServing(context, ["hold=16M", `content=${content}`]);
    await guest.waitUntilReady();
    const memory = heldMemory(load, 4 * MIB, 12 * MIB);
    const packed = zstdCompressSync(memory, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
    const ratio = packed.length / memory.length;
    assert.ok(ratio >= least && ratio <= most, `${content}: ${ratio}`);
  }
});

test("memory that comes and goes is checked too", options, async (context) => {
  const { guest } = await startServing(context);
  await guest.fillAndFree(8 * MIB);
  await guest.churn(4 * MIB, 100e6);
  let status = await guest.status();
  while (status.churn.checkedPages < 2000) status = await guest.status();
  assert.equal(status.churn.damagedPages, 0);
  await guest.stop();
});

test("disk records survive wrapping around, and a damaged one is found", options, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-load-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "disk");
  writeFileSync(path, "");
  truncateSync(path, 64 * 4096);
  const { guest } = await startServing(context);
  await guest.openDisk(path, 10e6);
  while ((await guest.status()).disk.records < 150);
  const verdict = await guest.verifyDisk();
  assert.ok(verdict.records >= 150);
  assert.deepEqual({ pages: verdict.pages, bad: verdict.bad }, { pages: 64, bad: 0 });

  await guest.closeDisk();
  await assert.rejects(guest.verifyDisk(), { code: "GODWIT_GUEST_REFUSED" });
});

test("a record that was lost on the disk is found", options, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-load-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "disk");
  writeFileSync(path, "");
  truncateSync(path, 4096 * 4096);
  const { guest } = await startServing(context);
  await guest.openDisk(path, 10e6);
  while ((await guest.status()).disk.records < 10);
  const bytes = readFileSync(path).subarray(0, 4 * 4096);
  bytes.fill(0, 4096, 8192);
  bytes.fill(7, 2 * 4096 + 1000, 2 * 4096 + 1100);
  writeFileSync(path, bytes, { flag: "r+" });
  const { torn, stale, lost } = await guest.verifyDisk();
  assert.deepEqual({ torn, stale, lost }, { torn: 1, stale: 0, lost: 1 });
});

test("nonsense is refused with a reason and harms nothing", options, async (context) => {
  const { port, guest } = await startServing(context, ["hold=4M"]);
  const refusals = await overTcp(port, [
    "nonsense",
    "load hold=4M colour=red",
    "load hold=much",
    "load hold=1M content=poetry",
    "load hold=17179869184G",
    "set dirty=99999999999999999999GB",
    "verify now",
    "disk path=/nowhere",
    "corrupt kind=lost page=4096",
    "",
    `${"x".repeat(400)}=${"y".repeat(60)}`,
  ]);
  for (const answer of refusals) {
    assert.equal(answer.ok, false);
    assert.ok(answer.error.length > 5);
  }
  await guest.ping();
});

test(
  "a load generator that doesn't own its machine neither powers it off nor reboots it",
  options,
  async (context) => {
    const { guest } = await startServing(context);
    await assert.rejects(guest.powerOff(), { code: "GODWIT_GUEST_REFUSED" });
    await assert.rejects(guest.reboot(), { code: "GODWIT_GUEST_REFUSED" });
  },
);

test("a repeated datagram is answered again but not carried out again", options, async (context) => {
  const { port, guest } = await startServing(context, ["hold=4M"]);
  await guest.waitUntilReady();
  const socket = createSocket("udp4");
  context.after(() => socket.close());
  const answers: string[] = [];
  for (let repetition = 0; repetition < 3; repetition++) {
    socket.send("id=same corrupt kind=stale page=5", port, "127.0.0.1");
    const [answer] = await once(socket, "message");
    answers.push(String(answer));
  }
  assert.deepEqual(new Set(answers), new Set(['{"id":"same","ok":true}\n']));
  assert.equal((await guest.verify()).generation, 2);
});

test("the client tells a silent guest from a refusing one", options, async (context) => {
  const silent = createSocket("udp4");
  context.after(() => silent.close());
  silent.bind(0, "127.0.0.1");
  await once(silent, "listening");
  using guest = await GuestControl.overUdp("127.0.0.1", silent.address().port);
  await assert.rejects(guest.ping({ timeoutMs: 50 }), { code: "GODWIT_GUEST_SILENT" });
  const abort = new AbortController();
  const ping = guest.ping({ signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(ping, { message: "enough" });
});

test("datagrams are echoed and the stream is what it must be, byte by byte", options, async (context) => {
  const load = await startLoad(binary!, "echo");
  context.after(() => load.stop());
  const socket = createSocket("udp4");
  context.after(() => socket.close());
  socket.send("are you there?", Number(load.ready.echoPort), "127.0.0.1");
  const [echo] = await once(socket, "message");
  assert.equal(String(echo), "are you there?");

  const stream = connect(Number(load.ready.streamPort), "127.0.0.1");
  context.after(() => stream.destroy());
  let text = "";
  for await (const chunk of stream.setEncoding("latin1")) {
    text += chunk;
    if (text.length > 4096) break;
  }
  const lines = text.split("\n").slice(0, -1);
  lines.forEach((line, number) => {
    const letters = Array.from({ length: 46 }, (_, i) => String.fromCharCode(97 + ((number + i + 17) % 26)));
    assert.equal(line, `${number.toString(16).padStart(16, "0")} ${letters.join("")}`);
  });
});

async function overTcp(port: number, commands: readonly string[]): Promise<{ ok: boolean; error: string }[]> {
  const socket = connect(port, "127.0.0.1");
  socket.write(commands.map((command) => `${command}\n`).join(""));
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) {
    text += chunk;
    if (text.split("\n").length > commands.length) break;
  }
  return text
    .split("\n")
    .slice(0, commands.length)
    .map((line) => JSON.parse(line));
}

/** Bytes of the load generator's largest mapping, which is the held memory with its tables. */
function heldMemory(load: LoadProcess, from: number, to: number): Buffer {
  const mappings = readFileSync(`/proc/${load.pid}/maps`, "utf8")
    .split("\n")
    .map((line) => /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line))
    .filter((match) => match !== null)
    .map((match) => ({ start: Number.parseInt(match[1]!, 16), end: Number.parseInt(match[2]!, 16) }))
    .sort((one, other) => other.end - other.start - (one.end - one.start));
  const memory = Buffer.alloc(to - from);
  const file = openSync(`/proc/${load.pid}/mem`, "r");
  try {
    assert.equal(readSync(file, memory, 0, memory.length, mappings[0]!.start + from), memory.length);
  } finally {
    closeSync(file);
  }
  return memory;
}
