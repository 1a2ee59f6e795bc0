import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { DEFAULT_WIRE_PORT as WIRE_PORT } from "../agent/config.ts";
import type { LabHost, Place } from "./host.ts";
import { canMakeNamespaces, makeHosts } from "./hosts.ts";
import { labAddresses } from "./namespace-network.ts";
import { Probe } from "./probe.ts";
import { namespaceNames, sweepStaleRuns } from "./run-name.ts";

const needsRoot = canMakeNamespaces() ? {} : { skip: "network namespaces need root" };

/** A program that takes one connection, counts what it gets and says how much, and when it had it. */
const sink = `
  let bytes = 0;
  require("net").createServer((socket) => {
    socket.on("data", (data) => { bytes += data.length; });
    socket.on("end", () => { console.log(JSON.stringify({ bytes, endMs: Date.now() })); process.exit(); });
  }).listen(${WIRE_PORT}, process.argv[1], () => console.log("listening"));
`;
/** One that sends so much, and says when it began: a receiver that is late would find the link faster than it is. */
const source = `
  const socket = require("net").connect(${WIRE_PORT}, process.argv[1]);
  let left = Number(process.argv[2]);
  const chunk = Buffer.alloc(262144);
  const go = () => { while (left > 0) { left -= chunk.length; if (!socket.write(chunk)) return socket.once("drain", go); } socket.end(); };
  socket.on("connect", () => { console.log(Date.now()); go(); });
`;

function node(place: Place, script: string, ...args: string[]): ChildProcess {
  return place.spawn(process.execPath, ["-e", script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
}

async function transfer(from: LabHost, to: LabHost, amount: number): Promise<{ bytes: number; ms: number }> {
  const receiver = node(to, sink, to.address);
  await once(receiver.stdout!, "data");
  const result = once(receiver.stdout!, "data");
  const sender = node(from, source, from.peerAddress, String(amount));
  const [[beginMs], [end]] = await Promise.all([once(sender.stdout!, "data"), result, once(sender, "exit")]);
  const { bytes, endMs } = JSON.parse(String(end));
  return { bytes, ms: endMs - Number(String(beginMs)) };
}

test("a link shaped to 1 Gbit/s carries that, and its counters tell every byte", needsRoot, async () => {
  await using hosts = await makeHosts({ bytesPerSecond: 125e6 });
  assert.deepEqual(await hosts.linkBytes(), { aToB: 0, bToA: 0 });
  const amount = 125e6;
  const { bytes, ms } = await transfer(hosts.a, hosts.b, amount);
  const counted = await hosts.linkBytes();
  assert.ok(counted.aToB > bytes * 1.03 && counted.aToB < bytes * 1.08, `${counted.aToB} for ${bytes}`);
  assert.ok(counted.bToA > 0 && counted.bToA < bytes * 0.05, `${counted.bToA} for ${bytes}`);
  // Shaping is a bound, so that it can be tested on a busy machine; the rest is for people to see.
  const bitsPerSecond = (counted.aToB * 8 * 1000) / ms;
  assert.ok(bitsPerSecond < 1.05e9, `${bitsPerSecond} bit/s`);
});

test(
  "with latency a simulator stands between the hosts and both find each other through it",
  needsRoot,
  async () => {
    await using hosts = await makeHosts({ latencyMs: 2 });
    assert.notEqual(hosts.simulator, null);
    for (const [from, to] of [
      [hosts.a, hosts.b],
      [hosts.b, hosts.a],
    ] as const) {
      assert.ok((await transfer(from, to, 1_000_000)).bytes >= 1_000_000);
    }
    const traffic = await hosts.simulator!.traffic();
    assert.equal(traffic.forwardBytes, traffic.backwardBytes);
    const bytes = await hosts.linkBytes();
    assert.ok(bytes.aToB > 1_000_000 && bytes.bToA > 1_000_000);
  },
);

test("without root the hosts are addresses of the loopback device behind a simulator", async () => {
  await using hosts = await makeHosts({ kind: "loopback", bytesPerSecond: 100e6 });
  assert.equal(hosts.client, null);
  const { bytes, ms } = await transfer(hosts.a, hosts.b, 10_000_000);
  assert.equal((await hosts.linkBytes()).aToB, bytes);
  assert.ok((bytes * 1000) / ms < 110e6, `${bytes} in ${ms} ms`);
});

test(
  "the client hears the guest's address wherever it answers, and a silence between",
  needsRoot,
  async () => {
    await using hosts = await makeHosts();
    const { guest, guestPrefixBits } = labAddresses;
    const echo = `
    const socket = require("dgram").createSocket("udp4");
    socket.on("message", (message, from) => socket.send(message, from.port, from.address));
    socket.bind(7, "${guest}", () => console.log("listening"));
  `;
    // The guest's stand-in: its address on a host's bridge, then on the other's.
    const arrive = async (host: LabHost) => {
      await host.namespace!.ip([`addr add ${guest}/${guestPrefixBits} dev guests0`]);
      const server = node(host, echo);
      await once(server.stdout!, "data");
      return server;
    };
    const first = await arrive(hosts.a);
    await using probe = await Probe.start(hosts.client!, { host: guest, port: 7 });
    const begin = Date.now();
    await probe.answeredAfter(begin, { timeoutMs: 20_000 });
    first.kill("SIGKILL");
    await once(first, "exit");
    await hosts.a.namespace!.ip([`addr del ${guest}/${guestPrefixBits} dev guests0`]);
    const goneAt = Date.now();
    await assert.rejects(probe.answeredAfter(Date.now(), { timeoutMs: 100 }), {
      code: "GODWIT_LAB_NO_ANSWER",
    });
    const second = await arrive(hosts.b);
    await hosts.client!.namespace!.ip(["neigh flush all"]);
    await probe.answeredAfter(Date.now(), { timeoutMs: 20_000 });
    const seen = await probe.look(begin, Date.now());
    assert.ok(seen.longestSilenceMs! >= 100, JSON.stringify(seen));
    assert.ok(seen.silenceFromMs! <= goneAt && seen.answeredAgain, JSON.stringify(seen));
    assert.ok(seen.lost > 0 && seen.lost < seen.sent);
    second.kill("SIGKILL");
  },
);

test("nothing is left of the hosts: no process inside, no namespace", needsRoot, async () => {
  const before = new Set(namespaceNames());
  const hosts = await makeHosts({ simulator: true });
  const stubborn = hosts.a.spawn("sh", ["-c", "trap '' TERM; echo up; exec sleep 1000"], {
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  await once(stubborn.stdout!, "data");
  await hosts[Symbol.asyncDispose]();
  await hosts[Symbol.asyncDispose]();
  assert.ok(
    stubborn.exitCode !== null || stubborn.signalCode !== null || !existsSync(`/proc/${stubborn.pid}`),
  );
  const left = namespaceNames().filter(
    (name) => !before.has(name) && name.startsWith(`godwit-${process.pid}-`),
  );
  assert.deepEqual(left, []);
});

/** A run of the lab that makes hosts and says so; then it ends as told. */
function run(ending: string): ChildProcess {
  const hostsModule = new URL("./hosts.ts", import.meta.url).href;
  const script = `
    const { makeHosts } = await import(${JSON.stringify(hostsModule)});
    const hosts = await makeHosts();
    const sleeper = hosts.a.spawn("sh", ["-c", "echo up; exec sleep 1000"], {
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    // Before that it may not be inside yet, where it is looked for.
    await new Promise((resolve) => sleeper.stdout.once("data", resolve));
    sleeper.stdout.destroy();
    sleeper.unref();
    console.log("made");
    ${ending}
  `;
  return spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "ignore"],
  });
}

function namespacesOf(child: ChildProcess): string[] {
  return namespaceNames().filter((name) => name.startsWith(`godwit-${child.pid}-`));
}

test("hosts go with their process when it exits or throws", needsRoot, async () => {
  for (const ending of ["process.exit(3);", 'throw new Error("unexpected");']) {
    const child = run(ending);
    await once(child, "exit");
    assert.deepEqual(namespacesOf(child), [], ending);
  }
});

test("what a killed run left is swept, and living runs are let be", needsRoot, async () => {
  await using mine = await makeHosts();
  const child = run("setInterval(() => {}, 1000);");
  await once(child.stdout!, "data");
  assert.equal(namespacesOf(child).length, 4);
  child.kill("SIGKILL");
  await once(child, "exit");
  const swept = await sweepStaleRuns();
  assert.equal(swept.filter((name) => name.startsWith(`godwit-${child.pid}-`)).length, 4);
  assert.deepEqual(namespacesOf(child), []);
  assert.ok(namespaceNames().some((name) => name.startsWith(`godwit-${process.pid}-`)));
  assert.ok((await mine.linkBytes()).aToB >= 0);
});
