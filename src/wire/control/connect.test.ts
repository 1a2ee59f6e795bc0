import assert from "node:assert/strict";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import type { GodwitError } from "../../base/errors.ts";
import type { Credentials } from "../credentials.ts";
import { issueHost } from "../pki/index.ts";
import { type TestAuthority, testAuthority } from "../test-credentials.ts";
import type { SecureListener } from "../tls/listen.ts";
import { secureContextOptions } from "../tls/options.ts";
import type { ControlChannel } from "./channel.ts";
import { connectControl, listenControl } from "./connect.ts";

const DAY_MS = 86_400_000;
const introduction = { agentName: "test", softwareVersion: "0.1.0" };

let authority: TestAuthority;
let alpha: Credentials;
let listener: SecureListener;
const channels: ControlChannel[] = [];
const refusals: GodwitError[] = [];

before(async () => {
  authority = await testAuthority();
  alpha = await authority.host("alpha");
  listener = await listenControl({
    ...introduction,
    host: "127.0.0.1",
    port: 0,
    credentials: await authority.host("beta", ["127.0.0.1", "beta.example"]),
    onChannel: (channel) => channels.push(channel),
    onRefused: (error) => refusals.push(error),
  });
});

after(async () => {
  for (const channel of channels) await channel.close();
  await listener.close();
});

function dial(credentials: Credentials, more: { host?: string; port?: number; peerName?: string } = {}) {
  return connectControl({ ...introduction, host: "127.0.0.1", port: listener.port, credentials, ...more });
}

/** A server of our own with the given credentials, gone after use. */
async function withServer(credentials: Credentials, use: (port: number) => Promise<void>): Promise<void> {
  const own = await listenControl({
    ...introduction,
    host: "127.0.0.1",
    port: 0,
    credentials,
    onChannel: (channel) => void channel.close(),
  });
  try {
    await use(own.port);
  } finally {
    await own.close();
  }
}

/** The client is refused by the server: the client learns why, and the server was told the same. */
async function refusedByServer(credentials: Credentials, code: string): Promise<void> {
  refusals.length = 0;
  await assert.rejects(dial(credentials), (error: GodwitError) => {
    assert.equal(error.code, code, error.message);
    assert.ok(error.advice, "says what to do");
    return true;
  });
  assert.deepEqual(
    refusals.map((error) => error.code),
    [code],
  );
}

test("hosts of one authority connect, each knows whom it talks to, and bytes are counted", async () => {
  const { channel, peer } = await dial(alpha, { peerName: "beta.example" });
  assert.deepEqual(peer.names, ["beta", "127.0.0.1", "beta.example"]);
  assert.equal(peer.kind, "host");
  const before = channel.bytesOnWire;
  assert.ok(before > 1000, "the handshake counts");
  await channel.send({
    type: "device-state",
    migrationId: "m-1",
    index: 0,
    last: true,
    payload: Buffer.alloc(1_000_000),
  });
  assert.ok(channel.bytesOnWire - before > 1_000_000 && channel.bytesOnWire - before < 1_010_000);
  await channel.close();
});

test("a client of another authority is refused", async () => {
  const foreign = await (await testAuthority("foreign")).host("alpha");
  await refusedByServer({ ...foreign, caPem: alpha.caPem }, "GODWIT_TLS_UNKNOWN_AUTHORITY");
});

test("a client of another authority with the same name is refused", async () => {
  const foreign = await (await testAuthority("test-authority")).host("alpha");
  await refusedByServer({ ...foreign, caPem: alpha.caPem }, "GODWIT_TLS_UNKNOWN_AUTHORITY");
});

test("an expired client is refused", async () => {
  const expired = await authority.host("alpha", ["127.0.0.1"], {
    notBefore: new Date(Date.now() - 2 * DAY_MS),
    notAfter: new Date(Date.now() - DAY_MS),
  });
  await refusedByServer(expired, "GODWIT_TLS_EXPIRED");
});

test("a client that isn't valid yet is refused", async () => {
  const early = await authority.host("alpha", ["127.0.0.1"], { notBefore: new Date(Date.now() + DAY_MS) });
  await refusedByServer(early, "GODWIT_TLS_NOT_YET_VALID");
});

test("an operator is refused as an agent", async () => {
  await refusedByServer(await authority.operator("eve"), "GODWIT_TLS_NOT_A_HOST");
});

test("a client without a certificate is refused and told so", async () => {
  refusals.length = 0;
  const { ca, minVersion } = secureContextOptions(alpha);
  const socket = connectTls({
    host: "127.0.0.1",
    port: listener.port,
    ca,
    minVersion: minVersion ?? "TLSv1.3",
  });
  const answer: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => answer.push(chunk));
  await new Promise((resolve) => socket.once("close", resolve));
  assert.equal(refusals[0]?.code, "GODWIT_TLS_NO_CERTIFICATE");
  assert.match(Buffer.concat(answer).toString("latin1"), /GODWIT_TLS_NO_CERTIFICATE/);
});

test("a client that speaks only TLS 1.2 is refused", async () => {
  refusals.length = 0;
  const socket = connectTls({
    ...secureContextOptions(alpha),
    host: "127.0.0.1",
    port: listener.port,
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.2",
  });
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => socket.once("error", resolve));
  assert.equal(error.code, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
  assert.equal(refusals[0]?.code, "GODWIT_TLS_HANDSHAKE");
});

test("a client that resumes an earlier session is refused: nothing was verified now", async () => {
  const to = { ...secureContextOptions(alpha), host: "127.0.0.1", port: listener.port };
  const first = connectTls(to);
  const session = await new Promise<Buffer>((resolve) => first.once("session", resolve));
  first.destroy();
  refusals.length = 0;
  const second = connectTls({ ...to, session });
  second.on("error", () => {});
  second.resume();
  let resumed = false;
  second.once("secureConnect", () => {
    resumed = second.isSessionReused();
  });
  await new Promise((resolve) => second.once("close", resolve));
  assert.equal(resumed, true);
  assert.ok(
    refusals.some((error) => /SESSION_REUSED/.test(error.message)),
    refusals.join(),
  );
});

test("a connection that is reset ends the channel, and nothing else", async () => {
  const sockets: Socket[] = [];
  const proxy = createServer((near) => {
    const far = connectTcp(listener.port, "127.0.0.1");
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on("error", () => {});
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const { channel } = await dial(alpha, { port: (proxy.address() as AddressInfo).port });
  const other = channels.at(-1) as ControlChannel;
  for (const socket of sockets) socket.resetAndDestroy();
  for (const end of await Promise.all([channel.closed, other.closed])) {
    assert.equal(end.by, "failure");
    assert.equal(end.error.code, "GODWIT_LINK_CLOSED");
  }
  await assert.rejects(channel.send({ type: "commit", migrationId: "m-1" }), { code: "GODWIT_LINK_CLOSED" });
  await new Promise((resolve) => proxy.close(resolve));
});

test("a server of another authority is refused", async () => {
  await withServer(await (await testAuthority("foreign")).host("beta"), async (port) => {
    await assert.rejects(dial(alpha, { port }), { code: "GODWIT_TLS_UNKNOWN_AUTHORITY" });
  });
});

test("an expired server is refused", async () => {
  const expired = await authority.host("beta", ["127.0.0.1"], {
    notBefore: new Date(Date.now() - 2 * DAY_MS),
    notAfter: new Date(Date.now() - DAY_MS),
  });
  await withServer(expired, async (port) => {
    await assert.rejects(dial(alpha, { port }), { code: "GODWIT_TLS_EXPIRED" });
  });
});

test("an expired authority is refused", async () => {
  const old = await testAuthority("old", {
    notBefore: new Date(Date.now() - 2 * DAY_MS),
    notAfter: new Date(Date.now() - DAY_MS),
  });
  await withServer(await old.host("beta"), async (port) => {
    await assert.rejects(dial({ ...(await old.host("alpha")) }, { port }), { code: "GODWIT_TLS_EXPIRED" });
  });
});

test("a server that isn't valid yet is refused", async () => {
  const early = await authority.host("beta", ["127.0.0.1"], { notBefore: new Date(Date.now() + DAY_MS) });
  await withServer(early, async (port) => {
    await assert.rejects(dial(alpha, { port }), { code: "GODWIT_TLS_NOT_YET_VALID" });
  });
});

test("a server for another name or address is refused", async () => {
  await assert.rejects(dial(alpha, { peerName: "gamma" }), { code: "GODWIT_TLS_WRONG_HOST" });
  await assert.rejects(dial(alpha, { peerName: "10.0.0.9" }), { code: "GODWIT_TLS_WRONG_HOST" });
  const elsewhere = await authority.host("beta", ["10.0.0.9"]);
  await withServer(elsewhere, async (port) => {
    await assert.rejects(dial(alpha, { port }), { code: "GODWIT_TLS_WRONG_HOST" });
  });
});

test("an operator's certificate can't stand for an agent", async () => {
  await withServer(await authority.operator("eve"), async (port) => {
    await assert.rejects(dial(alpha, { port, peerName: "eve" }), { code: "GODWIT_TLS_NOT_A_HOST" });
  });
});

test("a host's certificate can't issue others", async () => {
  const forged = await issueHost(alpha, "beta", ["127.0.0.1"]);
  const chain = { ...forged, certPem: `${forged.certPem}\n${alpha.certPem}`, caPem: alpha.caPem };
  await withServer(chain, async (port) => {
    await assert.rejects(dial(alpha, { port }), /GodwitError: .*refused/);
  });
  await assert.rejects(dial(chain), /GodwitError: .*refused/);
});

test("a port where nothing listens is told apart", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(dial(alpha, { port }), { code: "GODWIT_CONNECT_REFUSED" });
});

test("a name that nobody knows is told apart", async () => {
  await assert.rejects(dial(alpha, { host: "no-such-host.invalid" }), {
    code: "GODWIT_CONNECT_UNKNOWN_HOST",
  });
});

test("a server that never answers is given up in time, or when the caller says so", async () => {
  const sockets: { destroy(): void }[] = [];
  const server = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const to = { ...introduction, host: "127.0.0.1", port, credentials: alpha };
  await assert.rejects(connectControl({ ...to, timeoutMs: 30 }), { code: "GODWIT_CONNECT_TIMEOUT" });
  const controller = new AbortController();
  const connecting = assert.rejects(connectControl({ ...to, signal: controller.signal }), {
    code: "GODWIT_CANCELLED",
  });
  controller.abort();
  await connecting;
  await assert.rejects(connectControl({ ...to, signal: controller.signal }), { code: "GODWIT_CANCELLED" });
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

test("a server that speaks no TLS is refused", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.resume();
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await assert.rejects(dial(alpha, { port }), { code: "GODWIT_TLS_HANDSHAKE" });
  await new Promise((resolve) => server.close(resolve));
});

test("a port that is taken is told apart, and a range finds the next one", async () => {
  const taken = listener.port;
  const at = { ...introduction, host: "127.0.0.1", credentials: alpha, onChannel: () => {} };
  await assert.rejects(listenControl({ ...at, port: taken }), { code: "GODWIT_LISTEN_TAKEN" });
  const next = await listenControl({ ...at, port: { from: taken, to: taken + 20 } });
  assert.ok(next.port > taken && next.port <= taken + 20);
  await next.close();
  await assert.rejects(listenControl({ ...at, host: "192.0.2.1", port: 0 }), {
    code: "GODWIT_LISTEN_FAILED",
  });
});
