import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { test } from "node:test";
import type { Message } from "../messages/index.ts";
import { ControlChannel } from "./channel.ts";
import { encodeFrame } from "./framing.ts";
import type { ChannelOptions } from "./link.ts";
import { encodeMessage } from "./message-codec.ts";

const base = { softwareVersion: "0.1.0" } as const;

function options(role: "source" | "destination", more: Partial<ChannelOptions> = {}): ChannelOptions {
  return { ...base, role, agentName: role === "source" ? "alpha" : "beta", ...more };
}

async function openPair(
  more: Partial<ChannelOptions> = {},
): Promise<{ source: ControlChannel; destination: ControlChannel; sockets: [Duplex, Duplex] }> {
  const sockets = duplexPair() as [Duplex, Duplex];
  const [source, destination] = await Promise.all([
    ControlChannel.open(sockets[0], options("source", more)),
    ControlChannel.open(sockets[1], options("destination", more)),
  ]);
  return { source, destination, sockets };
}

/** A channel whose other end is in the test's hands: what it receives is written by the test. */
async function openAgainstRaw(
  more: Partial<ChannelOptions> = {},
): Promise<{ channel: ControlChannel; raw: Duplex; received: Buffer[] }> {
  const [near, raw] = duplexPair() as [Duplex, Duplex];
  const received: Buffer[] = [];
  raw.on("data", (chunk: Buffer) => received.push(chunk));
  raw.on("error", () => {});
  raw.write(
    encodeMessage(
      {
        type: "hello",
        minimumVersion: 1,
        maximumVersion: 1,
        features: [],
        agentName: "raw",
        softwareVersion: "1",
      },
      "destination",
    ),
  );
  const channel = await ControlChannel.open(near, options("source", more));
  return { channel, raw, received };
}

test("messages arrive in order, payloads with them, and both sides can close", async () => {
  const { source, destination } = await openPair();
  assert.equal(source.peer.agentName, "beta");
  assert.equal(destination.peer.agentName, "alpha");
  for (let index = 0; index < 5; index += 1) {
    const payload = Buffer.alloc(100_000, index);
    void source.send({ type: "device-state", migrationId: "m-1", index, last: index === 4, payload });
  }
  for (let index = 0; index < 5; index += 1) {
    const chunk = await destination.receive("device-state");
    assert.equal(chunk.index, index);
    assert.deepEqual(Buffer.from(chunk.payload), Buffer.alloc(100_000, index));
  }
  await source.close();
  assert.equal((await source.closed).by, "us");
  assert.equal((await destination.closed).by, "peer");
  await assert.rejects(destination.receive("commit"), { code: "GODWIT_LINK_CLOSED" });
  await assert.rejects(source.send({ type: "commit", migrationId: "m-1" }), { code: "GODWIT_LINK_CLOSED" });
});

test("features are what both sides name", async () => {
  const sockets = duplexPair() as [Duplex, Duplex];
  const [source, destination] = await Promise.all([
    ControlChannel.open(sockets[0], options("source", { features: ["z", "post-copy", "a"] })),
    ControlChannel.open(sockets[1], options("destination", { features: ["post-copy", "z"] })),
  ]);
  assert.deepEqual(source.agreement, { version: 1, features: ["post-copy", "z"] });
  assert.deepEqual(destination.agreement, source.agreement);
  await Promise.all([source.close(), destination.closed]);
});

test("the highest version that both speak is used", async () => {
  const sockets = duplexPair() as [Duplex, Duplex];
  const [source, destination] = await Promise.all([
    ControlChannel.open(sockets[0], options("source", { versions: { minimum: 1, maximum: 4 } })),
    ControlChannel.open(sockets[1], options("destination", { versions: { minimum: 2, maximum: 3 } })),
  ]);
  assert.equal(source.agreement.version, 3);
  assert.equal(destination.agreement.version, 3);
  await Promise.all([source.close(), destination.closed]);
});

test("versions that don't meet are an error on both sides that names both ranges", async () => {
  const sockets = duplexPair() as [Duplex, Duplex];
  const outcomes = await Promise.allSettled([
    ControlChannel.open(sockets[0], options("source", { versions: { minimum: 1, maximum: 2 } })),
    ControlChannel.open(sockets[1], options("destination", { versions: { minimum: 3, maximum: 5 } })),
  ]);
  for (const outcome of outcomes) {
    assert.equal(outcome.status, "rejected");
    assert.equal(outcome.reason.code, "GODWIT_WIRE_VERSION");
    assert.match(outcome.reason.message, /1 to 2/);
    assert.match(outcome.reason.message, /3 to 5/);
  }
});

test("a peer that says nothing is given up after the hello's time", async () => {
  const [near, raw] = duplexPair() as [Duplex, Duplex];
  raw.resume();
  await assert.rejects(ControlChannel.open(near, options("source", { helloTimeoutMs: 20 })), {
    code: "GODWIT_TIMEOUT",
  });
});

test("waiting for a message can be cancelled and timed", async () => {
  const { source, destination } = await openPair();
  await assert.rejects(source.receive("accepted", { timeoutMs: 5 }), { code: "GODWIT_TIMEOUT" });
  const controller = new AbortController();
  const waiting = assert.rejects(source.receive("accepted", { signal: controller.signal }), {
    code: "GODWIT_CANCELLED",
  });
  controller.abort();
  await waiting;
  await assert.rejects(source.receive("accepted", { signal: controller.signal }), {
    code: "GODWIT_CANCELLED",
  });
  await destination.send({
    type: "accepted",
    migrationId: "m-1",
    qemuVersion: "10",
    destinationName: "beta",
    postcopy: false,
  });
  assert.equal((await source.receive(["refused", "accepted"])).type, "accepted");
  await Promise.all([source.close(), destination.closed]);
});

test("only one may wait at a time", async () => {
  const { source, destination } = await openPair();
  const first = source.receive("accepted");
  await assert.rejects(source.receive("accepted"), { code: "GODWIT_WIRE_BUSY" });
  void destination.close();
  await assert.rejects(first, { code: "GODWIT_LINK_CLOSED" });
});

test("a message that isn't due closes the link and is told to the peer", async () => {
  const { source, destination } = await openPair();
  await source.send({ type: "commit", migrationId: "m-1" });
  await assert.rejects(destination.receive("offer"), { code: "GODWIT_WIRE_UNEXPECTED" });
  assert.equal((await source.aborted).code, "GODWIT_WIRE_UNEXPECTED");
  assert.equal((await destination.closed).by, "failure");
  await source.closed;
});

test("an abort reaches who awaits it, and who waits for something else", async () => {
  const { source, destination } = await openPair();
  const waiting = assert.rejects(source.receive("accepted"), { code: "GODWIT_NO_ROOM", message: "full" });
  void destination.abort({ code: "GODWIT_NO_ROOM", message: "full", side: "destination" }, "m-1");
  assert.equal((await source.aborted).side, "destination");
  await waiting;
  await destination.closed;
});

test("iteration gives every message and ends with the link", async () => {
  const { source, destination } = await openPair();
  void (async () => {
    for (const type of ["commit", "release", "inquire"] as const)
      await source.send({ type, migrationId: "m-1" });
    await source.abort({ code: "GODWIT_CANCELLED", message: "enough" });
  })();
  const seen: string[] = [];
  for await (const message of destination.messages()) seen.push(message.type);
  assert.deepEqual(seen, ["commit", "release", "inquire", "abort"]);
  await source.closed;
});

for (const [what, bytes, code] of [
  ["an unknown type", encodeFrame(777, "{}"), "GODWIT_WIRE_UNKNOWN"],
  ["nonsense in a header", encodeFrame(3, "nonsense"), "GODWIT_WIRE_INVALID"],
  ["a message of the wrong side", encodeFrame(13, '{"migrationId":"m-1"}'), "GODWIT_WIRE_INVALID"],
  ["an endless frame", Buffer.from("ffffffff0001ffffffff", "hex"), "GODWIT_WIRE_TOO_LARGE"],
] as const) {
  test(`${what} ends the link with ${code}, and the peer is told`, async () => {
    const { channel, raw, received } = await openAgainstRaw();
    raw.write(bytes);
    const end = await channel.closed;
    assert.equal(end.by, "failure");
    assert.equal(end.error.code, code);
    await assert.rejects(channel.receive("accepted"), { code });
    await new Promise((resolve) => raw.once("end", resolve));
    assert.match(Buffer.concat(received).toString("latin1"), new RegExp(code));
    raw.end();
  });
}

test("a link that ends in the middle of a message is a failure", async () => {
  const { channel, raw } = await openAgainstRaw();
  raw.end(encodeFrame(3, '{"migrationId":"m-1"}').subarray(0, 15));
  const end = await channel.closed;
  assert.equal(end.by, "failure");
  assert.equal(end.error.code, "GODWIT_LINK_CLOSED");
});

test("a silent peer is lost after its time, a short silence is borne", async () => {
  const { channel, raw } = await openAgainstRaw({ lostAfterMs: 300, heartbeatIntervalMs: 20 });
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 150));
  raw.write(encodeMessage({ type: "heartbeat" }, "destination"));
  const end = await channel.closed;
  assert.equal(end.error.code, "GODWIT_LINK_LOST");
  assert.ok(performance.now() - began > 400, "the heartbeat half way began the time anew");
});

test("heartbeats keep an idle link alive", async () => {
  const { source, destination } = await openPair({ lostAfterMs: 200, heartbeatIntervalMs: 20 });
  let ended = false;
  void source.closed.then(() => {
    ended = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal(ended, false);
  await Promise.all([source.close(), destination.closed]);
});

test("who takes no messages stops the sender, and isn't called lost for it", async () => {
  const { source, destination } = await openPair({ lostAfterMs: 200, heartbeatIntervalMs: 20 });
  const payload = Buffer.alloc(1024 * 1024);
  let sent = 0;
  const sending = (async () => {
    for (let index = 0; index < 64; index += 1) {
      await source.send({ type: "device-state", migrationId: "m-1", index, last: false, payload });
      sent += 1;
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.ok(sent < 30, `${sent} messages left though nobody took them`);
  for (let index = 0; index < 64; index += 1) {
    assert.equal((await destination.receive("device-state")).index, index);
  }
  await sending;
  await Promise.all([source.close(), destination.closed]);
});

test("a sender that ignores back-pressure is stopped", async () => {
  const { channel } = await openAgainstRaw();
  const message: Message = {
    type: "device-state",
    migrationId: "m-1",
    index: 0,
    last: false,
    payload: Buffer.alloc(4 * 1024 * 1024),
  };
  const outcomes = Array.from({ length: 8 }, () => channel.send(message));
  const settled = await Promise.allSettled([...outcomes, channel.close()]);
  const codes = settled.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason.code] : []));
  assert.ok(codes.includes("GODWIT_WIRE_QUEUE_FULL"), codes.join());
});
