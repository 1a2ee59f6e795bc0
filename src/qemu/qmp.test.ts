import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { LINE_LIMIT_BYTES, QmpClient, type QmpCommandError } from "./qmp.ts";
import { answer, type FakeCommand, fakeMonitor, GREETING } from "./testing/fake-qmp.ts";

test("it greets, negotiates and knows the version", async () => {
  await using monitor = await fakeMonitor();
  const client = await QmpClient.connect(monitor.path);
  assert.deepEqual(client.version, { major: 10, minor: 0, micro: 2 });
  assert.equal(client.outOfBand, false);
  assert.deepEqual(monitor.received[0]?.arguments, {});
  client.close();
});

test("out-of-band execution is negotiated where it is wanted and offered", async () => {
  await using monitor = await fakeMonitor();
  const client = await QmpClient.connect(monitor.path, { outOfBand: true });
  assert.equal(client.outOfBand, true);
  assert.deepEqual(monitor.received[0]?.arguments, { enable: ["oob"] });
  await client.execute("migrate-recover", { uri: "unix:/x" }, { outOfBand: true });
  assert.equal(monitor.received[1]?.["exec-oob"], "migrate-recover");
  client.close();
  await using old = await fakeMonitor({ greeting: GREETING.replace('"oob"', "") });
  const plain = await QmpClient.connect(old.path, { outOfBand: true });
  assert.equal(plain.outOfBand, false);
  plain.close();
});

test("answers find their commands in whatever order they come", async () => {
  const held: [FakeCommand, Socket][] = [];
  await using monitor = await fakeMonitor({
    onCommand(command, socket) {
      held.push([command, socket]);
      if (held.length < 3) return;
      for (const [earlier, to] of held.reverse()) answer(to, earlier, { name: earlier.execute });
    },
  });
  const client = await QmpClient.connect(monitor.path);
  const answers = await Promise.all([
    client.execute("x-one"),
    client.execute("x-two"),
    client.execute("x-three"),
  ]);
  assert.deepEqual(answers, [{ name: "x-one" }, { name: "x-two" }, { name: "x-three" }]);
  client.close();
});

test("a refusal carries the command, QEMU's class and its words", async () => {
  await using monitor = await fakeMonitor({
    onCommand(command, socket) {
      const unknown = command.execute === "x-unknown";
      const error = { class: unknown ? "CommandNotFound" : "GenericError", desc: "not like this" };
      socket.write(`${JSON.stringify({ id: command.id, error })}\n`);
    },
  });
  const client = await QmpClient.connect(monitor.path);
  await assert.rejects(client.execute("cont"), (error: QmpCommandError) => {
    assert.equal(error.code, "GODWIT_QMP_COMMAND");
    assert.equal(error.command, "cont");
    assert.equal(error.errorClass, "GenericError");
    assert.equal(error.description, "not like this");
    return /cont.*not like this/.test(error.message);
  });
  await assert.rejects(client.execute("x-unknown"), { code: "GODWIT_QMP_UNKNOWN_COMMAND" });
  client.close();
});

test("an answer of another form than the command's is an error of that command only", async () => {
  await using monitor = await fakeMonitor({
    onCommand: (command, socket) => answer(socket, command, { status: 7 }),
  });
  const client = await QmpClient.connect(monitor.path);
  await assert.rejects(client.execute("query-status"), { code: "GODWIT_QMP_PROTOCOL" });
  assert.deepEqual(await client.execute("x-other"), { status: 7 });
  client.close();
});

test("a command that gets no answer ends in time, and its late answer disturbs nobody", async () => {
  const held: FakeCommand[] = [];
  await using monitor = await fakeMonitor({
    onCommand(command, socket) {
      held.push(command);
      if (command.execute === "query-status") return;
      answer(socket, held[0]!, { status: "late", running: true });
      answer(socket, command, {});
    },
  });
  const client = await QmpClient.connect(monitor.path);
  await assert.rejects(client.execute("query-status", {}, { timeoutMs: 20 }), { code: "GODWIT_QMP_TIMEOUT" });
  await client.execute("cont");
  const abort = new AbortController();
  const aborted = client.execute("query-status", {}, { signal: abort.signal });
  abort.abort();
  await assert.rejects(aborted, { code: "GODWIT_ABORTED" });
  await assert.rejects(client.execute("cont", {}, { signal: abort.signal }), { code: "GODWIT_ABORTED" });
  assert.equal(client.closed, false);
  client.close();
});

test("events are seen by listeners and by waits, with their time in milliseconds", async () => {
  const event = (name: string, data: unknown) =>
    `${JSON.stringify({ event: name, data, timestamp: { seconds: 1700000000, microseconds: 123456 } })}\n`;
  await using monitor = await fakeMonitor({
    onCommand(command, socket) {
      socket.write(event("RESET", { guest: true, reason: "guest-reset" }) + event("STOP", undefined));
      answer(socket, command, {});
    },
  });
  const client = await QmpClient.connect(monitor.path);
  const seen: string[] = [];
  client.on("event", ({ name }) => seen.push(name));
  const stopped = client.waitForEvent("STOP");
  const reset = client.waitForEvent(({ name }) => name === "RESET");
  await client.execute("stop");
  assert.equal((await stopped).timestampMs, 1700000000123.456);
  assert.deepEqual((await reset).data, { guest: true, reason: "guest-reset" });
  assert.deepEqual(seen, ["RESET", "STOP"]);
  await assert.rejects(client.waitForEvent("STOP", { timeoutMs: 5 }), { code: "GODWIT_QMP_TIMEOUT" });
  assert.equal(client.listenerCount("event"), 1);
  client.close();
});

test("nothing listens, nobody greets, nobody negotiates: each is an error in time", async () => {
  await assert.rejects(QmpClient.connect("/nonexistent/qmp.sock"), { code: "GODWIT_QMP_CONNECT" });
  await using silent = await fakeMonitor({ greeting: "" });
  await assert.rejects(QmpClient.connect(silent.path, { timeoutMs: 20 }), { code: "GODWIT_QMP_TIMEOUT" });
  await using mute = await fakeMonitor({ mute: true });
  await assert.rejects(QmpClient.connect(mute.path, { timeoutMs: 20 }), { code: "GODWIT_QMP_TIMEOUT" });
});

const BROKEN_ANSWERS: readonly [what: string, bytes: string | Buffer, code: string][] = [
  ["garbage", Buffer.from([0xff, 0xfe, 0, 10]), "GODWIT_QMP_PROTOCOL"],
  ["JSON that is no object", "[1,2]\n", "GODWIT_QMP_PROTOCOL"],
  ["an object that is no message", '{"a":1}\n', "GODWIT_QMP_PROTOCOL"],
  ["a second greeting", GREETING, "GODWIT_QMP_PROTOCOL"],
  ["an answer to what was never asked", '{"return":{},"id":99}\n', "GODWIT_QMP_PROTOCOL"],
  [
    "an error that belongs to no command",
    '{"error":{"class":"GenericError","desc":"?"}}\n',
    "GODWIT_QMP_PROTOCOL",
  ],
  ["an event without a time", '{"event":"STOP"}\n', "GODWIT_QMP_PROTOCOL"],
  ["half an answer and the end", '{"return":', "GODWIT_QMP_CLOSED"],
];

for (const [what, bytes, code] of BROKEN_ANSWERS) {
  test(`a peer that sends ${what} ends every command and wait with ${code}`, async () => {
    await using monitor = await fakeMonitor({
      onCommand(_, socket) {
        if (code === "GODWIT_QMP_CLOSED") socket.end(bytes);
        else socket.write(bytes);
      },
    });
    const client = await QmpClient.connect(monitor.path);
    const closed = once(client, "close");
    const waits = [client.waitForEvent("STOP"), client.execute("x-one"), client.execute("x-two")];
    for (const wait of waits) await assert.rejects(wait, { code });
    const [error] = await closed;
    assert.equal(error.code, code);
    await assert.rejects(client.execute("cont"), { code });
    await assert.rejects(client.waitForEvent("STOP"), { code });
  });
}

test("a line without end is cut off at the limit", async () => {
  await using monitor = await fakeMonitor({
    onCommand(_, socket) {
      const block = Buffer.alloc(1024 * 1024, 0x20);
      for (let sent = 0; sent <= LINE_LIMIT_BYTES; sent += block.length) socket.write(block);
    },
  });
  const client = await QmpClient.connect(monitor.path);
  await assert.rejects(client.execute("x-one"), { code: "GODWIT_LINE_TOO_LONG" });
  assert.equal(client.closed, true);
});

test("close() fails what is pending and is no error itself", async () => {
  await using monitor = await fakeMonitor({ onCommand() {} });
  const client = await QmpClient.connect(monitor.path);
  const pending = client.execute("x-one");
  const closed = once(client, "close");
  client.close();
  await assert.rejects(pending, { code: "GODWIT_QMP_CLOSED" });
  assert.deepEqual(await closed, [undefined]);
});

test("whatever bytes come after the greeting, every command settles with a typed error or an answer", async () => {
  const fragment = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => Buffer.from(`${text}\n`)),
    fc
      .record({ id: fc.oneof(fc.integer({ min: -1, max: 4 }), fc.constant(null)), return: fc.jsonValue() })
      .map((value) => Buffer.from(`${JSON.stringify(value)}\n`)),
    fc
      .record({ event: fc.string(), data: fc.jsonValue(), timestamp: fc.jsonValue() })
      .map((value) => Buffer.from(`${JSON.stringify(value)}\n`)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fragment, { maxLength: 6 }), async (fragments) => {
      await using monitor = await fakeMonitor({
        onCommand: (_, socket) => socket.end(Buffer.concat(fragments)),
      });
      const client = await QmpClient.connect(monitor.path);
      const outcomes = await Promise.allSettled([
        client.execute("query-status"),
        client.waitForEvent("STOP"),
      ]);
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") assert.match(outcome.reason.code, /^GODWIT_/);
      }
      client.close();
    }),
    { numRuns: 60 },
  );
});
