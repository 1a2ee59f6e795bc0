import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { runFirst } from "./first-in-line.ts";
import { GuestControl } from "./guest-control.ts";
import { serveHelper } from "./helper-serve.ts";

const STEP_MS = 100;

const { host, port }: { host: string; port: number } = JSON.parse(process.argv[2] ?? "{}");
runFirst();
const socket = connect(port, host);
await new Promise<void>((resolve, reject) => {
  socket.once("error", reject);
  socket.once("connect", () => resolve());
});
const sinceMs = Date.now();
const bytesPerStep: number[] = [];
let rest = "";
let lines = 0;
let torn: string | null = null;
let connected = true;
socket.setEncoding("latin1").on("data", (text: string) => {
  const step = Math.floor((Date.now() - sinceMs) / STEP_MS);
  while (bytesPerStep.length <= step) bytesPerStep.push(0);
  bytesPerStep[step]! += text.length;
  const all = (rest + text).split("\n");
  rest = all.pop()!;
  for (const line of all) {
    if (Number.parseInt(line.slice(0, 16), 16) === lines) lines += 1;
    else torn ??= line;
  }
});
socket.on("error", () => {});
socket.on("close", () => {
  connected = false;
});

/** The kernel's own counter, of this network namespace. */
function duplicateSegments(): number {
  const [names = "", values = ""] = readFileSync("/proc/net/netstat", "utf8").split("\n");
  const at = names.split(" ").indexOf("TCPDSACKOldSent");
  return Number(values.split(" ")[at] ?? 0);
}

const CONTROL_PORT = 7000;
const guest = await GuestControl.overUdp(host, CONTROL_PORT);

serveHelper(
  {
    /** Reads back every record that the guest has written to its disk. */
    verifyDisk: () => guest.verifyDisk({ timeoutMs: 120_000 }),
    look: () => ({ lines, torn, connected, bytesPerStep, sinceMs, duplicateSegments: duplicateSegments() }),
  },
  null,
);
