import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { after, test } from "node:test";
import { type LinkQuality, LinkSimulator } from "./link-simulator.ts";
import { LARGEST_WINDOW_BYTES } from "./simulated-connection.ts";

interface FarEnd extends AsyncDisposable {
  readonly port: number;
  /** The next connection. */
  accept(): Promise<Socket>;
}

async function farEnd(): Promise<FarEnd> {
  const taken: Socket[] = [];
  const all: Socket[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    all.push(socket);
    taken.push(socket);
    socket.on("error", () => {});
    server.emit("taken");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    accept: async () => {
      while (taken.length === 0) await once(server, "taken");
      return taken.shift()!;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of all) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

const disposables: AsyncDisposable[] = [];
after(async () => {
  for (const one of disposables.reverse()) await one[Symbol.asyncDispose]();
});

async function linked(quality: LinkQuality = {}) {
  const end = await farEnd();
  const simulator = await LinkSimulator.start(
    [{ listenHost: "127.0.0.1", listenPort: 0, targetHost: "127.0.0.1", targetPort: end.port }],
    quality,
  );
  disposables.push(end, simulator);
  const open = async () => {
    const near = connect({ port: simulator.port(), host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    disposables.push({ [Symbol.asyncDispose]: async () => void near.destroy() });
    near.on("error", () => {});
    await once(near, "connect");
    return near;
  };
  return { end, simulator, open };
}

test("bytes, their order and the end of each direction pass unchanged", async () => {
  const { end, simulator, open } = await linked({ latencyMs: 2 });
  const near = await open();
  const far = await end.accept();
  far.pipe(far);
  const sent = Buffer.alloc(3_000_000, "every byte in its place, ");
  near.end(sent);
  const received = await near.toArray();
  assert.equal(Buffer.compare(Buffer.concat(received), sent), 0);
  const traffic = simulator.traffic();
  assert.equal(traffic.forwardBytes, sent.length);
  assert.equal(traffic.backwardBytes, sent.length);
});

test("a message and its answer take both one-way delays and hardly more", async () => {
  for (const latencyMs of [1, 3, 10]) {
    const { end, open } = await linked({ latencyMs });
    const near = await open();
    const far = await end.accept();
    far.on("data", (bytes) => far.write(bytes));
    near.write("warm");
    await once(near, "data");
    const roundTripsMs: number[] = [];
    for (let round = 0; round < 50; round += 1) {
      const begin = performance.now();
      near.write("?");
      await once(near, "data");
      roundTripsMs.push(performance.now() - begin);
    }
    const fastestMs = Math.min(...roundTripsMs);
    assert.ok(fastestMs >= 2 * latencyMs, `${fastestMs} ms for twice ${latencyMs} ms`);
    // Relative to the delay, and of the fastest: a busy machine makes some slower, but never all.
    assert.ok(fastestMs < 2 * latencyMs + 2, `${fastestMs} ms for twice ${latencyMs} ms`);
  }
});

test("the rate bounds what passes, and delay does not lower it", async () => {
  const bytesPerSecond = 40e6;
  const { end, open } = await linked({ latencyMs: 5, bytesPerSecond });
  const near = await open();
  const far = await end.accept();
  const amount = 10_000_000;
  near.end(Buffer.alloc(amount));
  let received = 0;
  let first = 0;
  far.on("data", (bytes: Buffer) => {
    if (received === 0) first = performance.now();
    received += bytes.length;
  });
  await once(far, "end");
  const seconds = (performance.now() - first) / 1000;
  assert.equal(received, amount);
  assert.ok(received / seconds <= bytesPerSecond * 1.05, `${received / seconds} bytes per second`);
});

test("a stalled link keeps everything and delivers it when restored", async () => {
  const { end, simulator, open } = await linked();
  const near = await open();
  const far = await end.accept();
  near.write("before ");
  await once(far, "data");
  simulator.cut("stall");
  near.write("during");
  let arrived = "";
  far.setEncoding("utf8").on("data", (text) => {
    arrived += text;
  });
  const other = await open();
  other.write("also");
  const otherFar = await end.accept();
  assert.equal(await Promise.race([once(otherFar, "data"), quiet(50)]), "quiet");
  assert.equal(arrived, "");
  simulator.restore();
  await once(otherFar, "data");
  assert.equal(arrived, "during");
});

test("a stalled link holds the sender back instead of filling memory", async () => {
  const { end, simulator, open } = await linked();
  const near = await open();
  await end.accept();
  simulator.cut("stall");
  near.write(Buffer.alloc(64 * 1024 * 1024));
  while (simulator.traffic().heldBytes < LARGEST_WINDOW_BYTES) await quiet(5);
  await quiet(200);
  const { heldBytes } = simulator.traffic();
  assert.ok(heldBytes < LARGEST_WINDOW_BYTES + 1024 * 1024, `${heldBytes} bytes are held`);
});

test("a link cut with reset ends its connections with RST, refuses new ones and takes them after", async () => {
  const { end, simulator, open } = await linked({ latencyMs: 1 });
  const near = await open();
  const far = await end.accept();
  const errors = Promise.all([closing(near), closing(far)]);
  const nearError = new Promise<NodeJS.ErrnoException>((resolve) => near.once("error", resolve));
  simulator.cut("reset");
  await errors;
  assert.equal((await nearError).code, "ECONNRESET");
  const refused = connect(simulator.port(), "127.0.0.1").on("error", () => {});
  await closing(refused);
  simulator.restore();
  const again = await open();
  const againFar = await end.accept();
  again.write("hello");
  assert.equal(String((await once(againFar, "data"))[0]), "hello");
});

test("a blackhole swallows bytes without a sign; restoring resets only connections that lost some", async () => {
  const { end, simulator, open } = await linked();
  const [loser, idle] = [await open(), await open()];
  const loserFar = await end.accept();
  const idleFar = await end.accept();
  const received: unknown[] = [];
  loserFar.on("data", (bytes) => received.push(bytes));
  simulator.cut("blackhole");
  loser.write("gone");
  assert.equal(await Promise.race([closing(loser), quiet(50)]), "quiet");
  const closed = closing(loser);
  simulator.restore();
  await closed;
  assert.deepEqual(received, []);
  idle.write("still here");
  assert.equal(String((await once(idleFar, "data"))[0]), "still here");
});

test("dropping the connections leaves the link open for new ones", async () => {
  const { end, simulator, open } = await linked();
  const near = await open();
  await end.accept();
  const closed = closing(near);
  simulator.dropConnections();
  await closed;
  const again = await open();
  again.write("x");
  await once(await end.accept(), "data");
  assert.equal(simulator.traffic().connections, 2);
  assert.equal(simulator.traffic().openConnections, 1);
});

test("latency can change while connections are open, and order is kept", async () => {
  const { end, simulator, open } = await linked({ latencyMs: 30 });
  const near = await open();
  const far = await end.accept();
  near.write("slow ");
  await new Promise((resolve) => setImmediate(resolve));
  simulator.setLatency(0);
  near.end("fast");
  assert.equal(Buffer.concat(await far.toArray()).toString(), "slow fast");
});

test("a target that refuses ends the connection with RST", async () => {
  const { end, simulator } = await linked();
  await end[Symbol.asyncDispose]();
  disposables.splice(disposables.indexOf(end), 1);
  const near = connect(simulator.port(), "127.0.0.1").on("error", () => {});
  await closing(near);
});

test("a port that is taken is an error, and what was opened before it is closed", async () => {
  const { simulator } = await linked();
  const taken = {
    listenHost: "127.0.0.1",
    listenPort: simulator.port(),
    targetHost: "127.0.0.1",
    targetPort: 9,
  };
  await assert.rejects(LinkSimulator.start([{ ...taken, listenPort: 0 }, taken]), {
    code: "GODWIT_LAB_SIMULATOR",
  });
});

/** Something must not happen: this long is given to it. It can only miss a failure, never make one. */
async function quiet(ms: number): Promise<"quiet"> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return "quiet";
}

/** When a socket has closed, whatever the reason; `once` would reject for the RST that is expected. */
function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}
