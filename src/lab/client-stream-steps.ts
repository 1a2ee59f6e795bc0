import { z } from "zod";

/** The client's traffic is told in steps of this length, as the bare-metal paper does. */
export const STEP_MS = 100;

/** What a client saw of its TCP connections, step by step; all arrays have one number per step. */
export const clientStepsSchema = z.object({
  /** When the first step began, `Date.now()` time. */
  fromMs: z.number(),
  stepMs: z.number(),
  /** Payload that arrived over the streams. */
  receivedBytes: z.array(z.number().int()),
  /** Segments that the client's kernel sent again, because the guest had not acknowledged them. */
  retransmittedSegments: z.array(z.number().int()),
  /** Segments that arrived a second time: the guest's kernel had sent them again, and in vain. */
  duplicateSegments: z.array(z.number().int()),
});

/** What a client saw of its TCP connections. */
export type ClientSteps = z.infer<typeof clientStepsSchema>;

/** Counters of a network namespace's TCP since it was made. */
export interface TcpCounters {
  readonly retransmittedSegments: number;
  readonly duplicateSegments: number;
}

/**
 * Reads `/proc/net/snmp` and `/proc/net/netstat`, in which each protocol has a line of names and a line of values. A
 * counter that the kernel does not have counts as 0.
 */
export function tcpCountersOf(snmp: string, netstat: string): TcpCounters {
  const tcp = counters(snmp, "Tcp");
  const extended = counters(netstat, "TcpExt");
  return {
    retransmittedSegments: tcp.get("RetransSegs") ?? 0,
    // A duplicate is answered with a D-SACK, one kind for what was in order and one for what was not.
    duplicateSegments: (extended.get("TCPDSACKOldSent") ?? 0) + (extended.get("TCPDSACKOfoSent") ?? 0),
  };
}

function counters(text: string, protocol: string): Map<string, number> {
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith(`${protocol}: `))
    .map((line) => line.split(" ").slice(1));
  return new Map(names.map((name, at) => [name, Number(values[at] ?? 0)]));
}

/** One moment of a client: its counters so far. */
export interface ClientSample extends TcpCounters {
  readonly atMs: number;
  readonly receivedBytes: number;
}

/**
 * The whole steps between two times, made from samples of counters that only grow, ascending in time. Between two
 * samples a counter is taken to grow evenly, so that a sample that came late is not seen as a hole with a peak.
 */
export function stepsOf(samples: readonly ClientSample[], fromMs: number, toMs: number): ClientSteps {
  const count = Math.max(0, Math.floor((toMs - fromMs) / STEP_MS));
  const edges = Array.from({ length: count + 1 }, (_, at) => fromMs + at * STEP_MS);
  const series = (value: (sample: ClientSample) => number) => {
    const totals = edges.map((edge) => Math.round(interpolate(samples, edge, value)));
    return totals.slice(1).map((total, at) => total - totals[at]!);
  };
  return {
    fromMs,
    stepMs: STEP_MS,
    receivedBytes: series((sample) => sample.receivedBytes),
    retransmittedSegments: series((sample) => sample.retransmittedSegments),
    duplicateSegments: series((sample) => sample.duplicateSegments),
  };
}

function interpolate(
  samples: readonly ClientSample[],
  atMs: number,
  value: (sample: ClientSample) => number,
): number {
  const next = samples.findIndex((sample) => sample.atMs >= atMs);
  if (next === -1) return samples.length === 0 ? 0 : value(samples.at(-1)!);
  if (next === 0) return value(samples[0]!);
  const [before, after] = [samples[next - 1]!, samples[next]!];
  const share = (atMs - before.atMs) / (after.atMs - before.atMs);
  return value(before) + share * (value(after) - value(before));
}
