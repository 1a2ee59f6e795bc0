import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { type ClientSample, stepsOf, tcpCountersOf } from "./client-stream-steps.ts";
import { runFirst } from "./first-in-line.ts";
import { serveHelper } from "./helper-serve.ts";

interface Argument {
  readonly host: string;
  readonly streamPort: number;
  readonly controlPort: number;
  readonly streams: number;
}

/** Finer than a step, so that a step's edges are near a sample. */
const SAMPLE_MS = 20;

/** A question and its answer each, so that this side has something under way, too, when the guest pauses. */
const ASK_MS = 10;

/** An hour of samples. */
const MOST_SAMPLES = 180_000;

const { host, streamPort, controlPort, streams }: Argument = JSON.parse(process.argv[2] ?? "{}");
const samples: ClientSample[] = [];
let receivedBytes = 0;

runFirst();

for (let stream = 0; stream < streams; stream += 1) {
  open(streamPort).on("data", (chunk) => {
    receivedBytes += chunk.length;
  });
}
const questions = open(controlPort).on("data", () => {});
setInterval(() => questions.writable && questions.write("ping\n"), ASK_MS);

setInterval(() => {
  if (samples.length === MOST_SAMPLES) return;
  const counters = tcpCountersOf(
    readFileSync("/proc/self/net/snmp", "utf8"),
    readFileSync("/proc/self/net/netstat", "utf8"),
  );
  samples.push({ atMs: performance.timeOrigin + performance.now(), receivedBytes, ...counters });
}, SAMPLE_MS);

serveHelper(
  { look: ({ fromMs, toMs }: { fromMs: number; toMs: number }) => stepsOf(samples, fromMs, toMs) },
  null,
);

/** A connection that may fail: what then no longer arrives is the finding. */
function open(port: number): Socket {
  const socket = connect({ host, port, noDelay: true });
  socket.on("error", () => {});
  return socket;
}
