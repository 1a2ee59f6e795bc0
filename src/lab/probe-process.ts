import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { runFirst } from "./first-in-line.ts";
import { GrowingSeries } from "./growing-series.ts";
import { notice, serveHelper } from "./helper-serve.ts";
import { PreciseAlarm } from "./precise-alarm.ts";
import { lookAtWindow } from "./probe-gaps.ts";

interface Argument {
  readonly host: string;
  readonly port: number;
  readonly intervalMs: number;
}

/**
 * The probe comes before all else on its processor: looking every tenth of a millisecond it had six thousand times a second
 * another of those that wait take its place, and what runs in many threads stood still for longer by it.
 */
const NAP_MS = 0.5;

/** Sixteen bytes: whose probe it is, and its sequence number. */
const PROBE_BYTES = 16;

const { host, port, intervalMs }: Argument = JSON.parse(process.argv[2] ?? "{}");
const series = new GrowingSeries();
const probe = Buffer.alloc(PROBE_BYTES);
const token = randomBytes(8);
token.copy(probe);

runFirst();

/** Time as `Date.now()` tells it, in fractions of a millisecond and never going back. */
const clock = () => performance.timeOrigin + performance.now();

const socket = createSocket("udp4");
// A host whose guest is away answers "port unreachable": that is a probe lost, not an error of ours.
socket.on("error", () => {});
let answersSince: number | null = null;
socket.on("message", (message) => {
  if (message.length !== PROBE_BYTES || token.compare(message, 0, 8) !== 0) return;
  const sequence = message.readDoubleBE(8);
  const sentAt = series.view().sentAt[sequence] ?? Number.NaN;
  if (!series.noteAnswered(sequence, clock())) return;
  if (answersSince !== null && sentAt >= answersSince) {
    answersSince = null;
    notice("answered");
  }
});
socket.connect(port, host);
await once(socket, "connect");

let nextAt = 0;
const alarm = new PreciseAlarm((now) => {
  // After a stall the missed probes are not made up for: they would all see the same.
  nextAt = Math.max(nextAt + intervalMs, now);
  probe.writeDoubleBE(series.length, 8);
  const copy = Buffer.from(probe);
  if (!series.noteSent(clock())) return;
  socket.send(copy, () => {});
  alarm.setAt(nextAt);
}, NAP_MS);

serveHelper(
  {
    resume: () => {
      nextAt = performance.now();
      alarm.setAt(nextAt);
    },
    pause: () => alarm.clear(),
    noticeAnswerSentAfter: (timeMs: number) => {
      answersSince = timeMs;
    },
    look: (window: { fromMs: number; toMs: number }) => lookAtWindow(series.view(), window, clock()),
    save: async (path: string) => {
      const { sentAt, answeredAt } = series.view();
      const file = createWriteStream(path);
      file.write("sequence\tsentAtMs\tansweredAfterMs\n");
      for (let at = 0; at < sentAt.length; at += 1) {
        const answered = answeredAt[at]!;
        const after = Number.isNaN(answered) ? "" : (answered - sentAt[at]!).toFixed(3);
        if (!file.write(`${at}\t${sentAt[at]!.toFixed(3)}\t${after}\n`)) await once(file, "drain");
      }
      file.end();
      await once(file, "close");
    },
  },
  null,
);
