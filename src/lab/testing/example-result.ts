import type { LabResult } from "../lab-result.ts";

/** A whole and unremarkable result, with some of it replaced. */
export function exampleResult(changes: Partial<LabResult> = {}): LabResult {
  return {
    outcome: "completed",
    engine: "godwit",
    strategy: "pre-copy",
    direction: "a-to-b",
    startedAt: "2026-01-01T00:00:00.000Z",
    totalMs: 5000,
    liveMs: 4500,
    setupMs: 400,
    downtimeMs: 100,
    downtime: null,
    pauseSeenMs: 130,
    switchoverPauseSeenMs: 130,
    bytesOnWire: 1_000_000,
    link: { forwardBytes: 990_000, backwardBytes: 10_000 },
    freePages: null,
    postcopy: null,
    stalledMs: null,
    pages: { total: 1000, sent: 900, resent: 50, differences: 0, zero: 100, free: 0, faulted: 0 },
    rounds: 3,
    guestVerified: true,
    guestDamage: null,
    load: { holdBytes: 4_000_000, dirtyBytesPerSecond: 0, dirtyAreaBytes: 0, readBytesPerSecond: 0 },
    sourceEnded: true,
    client: {
      probes: 5000,
      lost: 120,
      roundTripMs: { p50: 1, p99: 5, max: 9 },
      noiseMs: 8,
      ownStallMs: 3,
    },
    cpu: { sourceSeconds: 1, destinationSeconds: 1 },
    machine: { processor: "example", cores: 2, memoryBytes: 8e9, kernel: "6.1", loadAverage: 0.5 },
    versions: { godwit: "0.1.0", qemu: "10.0.2", node: "v24.0.0", guestKernel: "6.1.0" },
    settings: {},
    hosts: "namespaces",
    error: null,
    ...changes,
  };
}
