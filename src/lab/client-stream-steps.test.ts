import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClientSample, stepsOf, tcpCountersOf } from "./client-stream-steps.ts";

const sample = (atMs: number, receivedBytes: number, retransmittedSegments = 0): ClientSample => ({
  atMs,
  receivedBytes,
  retransmittedSegments,
  duplicateSegments: 0,
});

test("steps are what counters grew by, and a pause is a hole", () => {
  const samples = [sample(0, 0), sample(100, 50), sample(200, 50, 2), sample(300, 120, 2)];
  const steps = stepsOf(samples, 0, 300);
  assert.deepEqual(steps.receivedBytes, [50, 0, 70]);
  assert.deepEqual(steps.retransmittedSegments, [0, 2, 0]);
});

test("a sample that came late makes neither a hole nor a peak", () => {
  const steps = stepsOf([sample(0, 0), sample(100, 100), sample(290, 290), sample(300, 300)], 0, 300);
  assert.deepEqual(steps.receivedBytes, [100, 100, 100]);
});

test("before the first and after the last sample nothing arrives", () => {
  assert.deepEqual(stepsOf([sample(1000, 5), sample(1100, 9)], 900, 1300).receivedBytes, [0, 4, 0, 0]);
  assert.deepEqual(stepsOf([], 0, 200).receivedBytes, [0, 0]);
  assert.deepEqual(stepsOf([], 100, 0).receivedBytes, []);
});

test("the kernel's counters are found by their names", () => {
  const snmp = "Ip: Forwarding\nIp: 2\nTcp: RtoMin RetransSegs InErrs\nTcp: 200 17 0\n";
  const netstat =
    "TcpExt: TCPDSACKOldSent Other TCPDSACKOfoSent\nTcpExt: 3 9 4\nIpExt: InNoRoutes\nIpExt: 1\n";
  assert.deepEqual(tcpCountersOf(snmp, netstat), { retransmittedSegments: 17, duplicateSegments: 7 });
  assert.deepEqual(tcpCountersOf("", ""), { retransmittedSegments: 0, duplicateSegments: 0 });
});
