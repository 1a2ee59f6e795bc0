import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { CompressionMode, Credentials } from "../../src/wire/index.ts";
import { testAuthority } from "../../src/wire/test-credentials.ts";

/** How the threads pack. */
export interface WireMode {
  readonly name: string;
  readonly compression: CompressionMode;
  readonly level: number;
}

/** What a sending or receiving thread is started with. */
export interface ThreadInput {
  readonly role: "send" | "receive";
  readonly credentials: Credentials;
  readonly token: Uint8Array;
  readonly port: number;
  readonly mode: WireMode;
  readonly corpus: SharedArrayBuffer;
  readonly seconds: number;
}

/** What a thread reports at its end. */
export interface ThreadResult {
  readonly guestBytes: number;
  readonly wireBytes: number;
  readonly cpuSeconds: number;
  readonly seconds: number;
}

/** Rates in bytes of guest memory. */
export interface ConnectionsResult {
  readonly gigabytesPerSecond: number;
  readonly sendCpuSecondsPerGigabyte: number;
  readonly receiveCpuSecondsPerGigabyte: number;
  readonly sizeOnWire: number;
}

/** Sends for some seconds over several connections, a thread at each end of each, and adds up. */
export async function measureConnections(setup: {
  readonly mode: WireMode;
  readonly corpus: SharedArrayBuffer;
  readonly seconds: number;
  readonly connections: number;
}): Promise<ConnectionsResult> {
  const authority = await testAuthority();
  const [alpha, beta] = await Promise.all([authority.host("alpha"), authority.host("beta")]);
  const measured = await Promise.all(
    Array.from({ length: setup.connections }, () => measureOne(setup, alpha, beta)),
  );
  const sum = (pick: (pair: (typeof measured)[number]) => number) =>
    measured.reduce((total, pair) => total + pick(pair), 0);
  const guestBytes = sum((pair) => pair.sent.guestBytes);
  return {
    gigabytesPerSecond: sum((pair) => pair.sent.guestBytes / pair.sent.seconds) / 1e9,
    sendCpuSecondsPerGigabyte: sum((pair) => pair.sent.cpuSeconds) / (guestBytes / 1e9),
    receiveCpuSecondsPerGigabyte: sum((pair) => pair.received.cpuSeconds) / (guestBytes / 1e9),
    sizeOnWire: sum((pair) => pair.sent.wireBytes) / guestBytes,
  };
}

async function measureOne(
  setup: { readonly mode: WireMode; readonly corpus: SharedArrayBuffer; readonly seconds: number },
  alpha: Credentials,
  beta: Credentials,
): Promise<{ sent: ThreadResult; received: ThreadResult }> {
  const common = { ...setup, token: randomBytes(32) };
  const sender = startThread({ ...common, role: "send", credentials: alpha, port: 0 });
  const [{ port }] = (await once(sender, "message")) as [{ port: number }];
  const receiver = startThread({ ...common, role: "receive", credentials: beta, port });
  const [[sent], [received]] = (await Promise.all([once(sender, "message"), once(receiver, "message")])) as [
    [ThreadResult],
    [ThreadResult],
  ];
  await Promise.all([sender.terminate(), receiver.terminate()]);
  return { sent, received };
}

function startThread(input: ThreadInput): Worker {
  return new Worker(new URL("./connection-thread.ts", import.meta.url), { workerData: input });
}
