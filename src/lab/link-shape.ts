/** A whole segmentation-offload packet must fit in the bucket, or the kernel cuts it up at twice the CPU cost. */
const SMALLEST_BURST_BYTES = 128 * 1024;

/** Two milliseconds of the rate: the timer that refills the bucket is late by less than that. */
const BURST_SECONDS = 0.002;

/** What a switch's port buffers; more would only add to the latency of small messages. */
const QUEUE_SECONDS = 0.01;
const SMALLEST_QUEUE_BYTES = 256 * 1024;

/** Packets that an unshaped link may queue: more than TCP keeps on one machine. */
const UNLIMITED_QUEUE_PACKETS = 10_000;

/**
 * The arguments of `tc qdisc replace` that shape what leaves `device` to a rate, Ethernet headers included: a TCP
 * stream on a link of 1 Gbit/s carries 957 Mbit/s of payload. Without a rate it only counts.
 */
export function shapingLine(device: string, bytesPerSecond: number | null): string {
  const start = `qdisc replace dev ${device} root`;
  if (bytesPerSecond === null) return `${start} pfifo limit ${UNLIMITED_QUEUE_PACKETS}`;
  const burstBytes = Math.max(SMALLEST_BURST_BYTES, Math.round(bytesPerSecond * BURST_SECONDS));
  const queueBytes = Math.max(SMALLEST_QUEUE_BYTES, Math.round(bytesPerSecond * QUEUE_SECONDS));
  return `${start} tbf rate ${Math.round(bytesPerSecond * 8)}bit burst ${burstBytes}b limit ${queueBytes}b`;
}

/**
 * The bytes that left a device shaped by {@link shapingLine}, from the output of `tc -j -s qdisc show`. The shaper
 * counts every packet as it would be on an Ethernet with an MTU of 1500, the device itself only once per
 * offloaded packet of up to 64 KiB; so the shaper is the ruler.
 */
export function shapedBytes(tcOutput: string): number {
  const list: unknown = JSON.parse(tcOutput);
  if (!Array.isArray(list)) return Number.NaN;
  const root = list.find((entry) => entry?.root === true);
  return typeof root?.bytes === "number" ? root.bytes : Number.NaN;
}
