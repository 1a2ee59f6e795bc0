import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameSwitch } from "./frame-switch.ts";

/** A port that keeps what it is sent. */
class Port {
  readonly frames: string[] = [];
  send(frame: Uint8Array): void {
    this.frames.push(Buffer.from(frame.subarray(14)).toString());
  }
}

const ALL = "ffffffffffff";
const GUEST = "525400000001";
const CLIENT = "525400000002";

function frame(to: string, from: string, text: string): Buffer {
  return Buffer.concat([Buffer.from(`${to}${from}0800`, "hex"), Buffer.from(text)]);
}

function lan() {
  const ports = { source: new Port(), destination: new Port(), client: new Port() };
  const device = new FrameSwitch<Port>();
  for (const port of Object.values(ports)) device.add(port);
  device.take(ports.source, frame(CLIENT, GUEST, "hello"));
  device.take(ports.client, frame(GUEST, CLIENT, "answer"));
  return { device, ...ports };
}

test("the switch learns where an address is and sends nothing elsewhere", () => {
  const { source, destination, client } = lan();
  assert.deepEqual(source.frames, ["answer"]);
  assert.deepEqual(destination.frames, ["hello"], "before it is learned a frame goes to all");
  assert.deepEqual(client.frames, ["hello"]);
});

test("what is sent to a machine on its way waits and follows it, in order", () => {
  const { device, source, destination, client } = lan();
  device.hold(GUEST);
  device.take(client, frame(GUEST, CLIENT, "one"));
  device.take(client, frame(ALL, CLIENT, "who?"));
  device.take(client, frame(GUEST, CLIENT, "two"));
  assert.deepEqual(source.frames, ["answer", "who?"]);
  device.take(destination, frame(ALL, GUEST, "here"));
  device.take(client, frame(GUEST, CLIENT, "three"));
  assert.deepEqual(destination.frames, ["hello", "who?", "answer", "one", "two", "three"]);
  assert.deepEqual(
    device.release(),
    { held: 3, dropped: 0 },
    "what was sent just before the word came is held, too",
  );
});

test("a machine that stays gets what waited", () => {
  const { device, source, client } = lan();
  device.hold(GUEST);
  device.take(client, frame(GUEST, CLIENT, "one"));
  assert.deepEqual(device.release(), { held: 2, dropped: 0 });
  assert.deepEqual(source.frames, ["answer", "answer", "one"]);
});

test("a word of the stop that comes when the machine is heard elsewhere already holds nothing", () => {
  const { device, destination, client } = lan();
  device.departs(GUEST);
  device.take(destination, frame(ALL, GUEST, "here"));
  device.hold(GUEST);
  device.take(client, frame(GUEST, CLIENT, "one"));
  assert.deepEqual(destination.frames, ["hello", "one"]);
});
