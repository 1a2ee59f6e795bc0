import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { HelperProcess } from "./helper-process.ts";
import { Place } from "./host.ts";
import { Portal } from "./portal.ts";
import { Probe } from "./probe.ts";

const here = new Place(null);
const folder = mkdtempSync(join(tmpdir(), "godwit-helper-"));
after(() => rmSync(folder, { recursive: true }));

test("a helper that cannot start says why", async () => {
  const routes = [{ listenHost: "192.0.2.1", listenPort: 1, targetHost: "127.0.0.1", targetPort: 1 }];
  await assert.rejects(HelperProcess.start(here, "simulator-process.ts", { routes, quality: {} }), {
    code: "GODWIT_LAB_HELPER",
    message: /EADDRNOTAVAIL/,
  });
});

test("a helper answers calls, refuses unknown ones and is gone after its end", async () => {
  const helper = await HelperProcess.start(here, "simulator-process.ts", { routes: [], quality: {} });
  assert.deepEqual(await helper.call("traffic"), {
    forwardBytes: 0,
    backwardBytes: 0,
    heldBytes: 0,
    connections: 0,
    openConnections: 0,
  });
  await assert.rejects(helper.call("nonsense"), { code: "GODWIT_LAB_HELPER", message: /no method/ });
  await helper[Symbol.asyncDispose]();
  assert.equal(existsSync(`/proc/${helper.pid}`), false);
  await assert.rejects(helper.call("traffic"), { code: "GODWIT_LAB_HELPER", message: /has ended/ });
});

test("calls under way fail when the helper dies", async () => {
  const helper = await HelperProcess.start(here, "simulator-process.ts", { routes: [], quality: {} });
  process.kill(helper.pid, "SIGSTOP");
  const call = helper.call("traffic");
  process.kill(helper.pid, "SIGKILL");
  await assert.rejects(call, { code: "GODWIT_LAB_HELPER", message: /has ended/ });
  await helper[Symbol.asyncDispose]();
});

test("a portal carries bytes both ways and ends with its connections", async () => {
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const portal = await Portal.open(here, { socketPath: join(folder, "p.sock"), host: "127.0.0.1", port });
  const socket = connect(portal.port, "127.0.0.1").on("error", () => {});
  const sent = Buffer.alloc(1_000_000, "there and back ");
  socket.end(sent);
  assert.equal(Buffer.compare(Buffer.concat(await socket.toArray()), sent), 0);
  const idle = connect(portal.port, "127.0.0.1").on("error", () => {});
  await once(idle, "connect");
  const closed = new Promise((resolve) => idle.once("close", resolve));
  await portal[Symbol.asyncDispose]();
  await closed;
  server.close();
  await once(server, "close");
});

test("a probe whose target does not answer says so in time, and can be aborted", async () => {
  await using probe = await Probe.start(here, { host: "127.0.0.1", port: 9 });
  await assert.rejects(probe.answeredAfter(Date.now(), { timeoutMs: 50 }), { code: "GODWIT_LAB_NO_ANSWER" });
  const abort = new AbortController();
  const waiting = probe.answeredAfter(Date.now(), { timeoutMs: 60_000, signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  const seen = await probe.look(0, Date.now());
  assert.equal(seen.longestSilenceMs, null);
  assert.ok(seen.sent > 0 && seen.lost === seen.sent);
});
