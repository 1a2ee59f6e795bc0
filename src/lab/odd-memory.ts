/** QEMU's fast bitmap sync works on 64 pages of 4 KiB at once. */
const FAST_SYNC_BYTES = 256 * 1024;

/** The smallest step in which a machine's memory can grow. */
const STEP_BYTES = 8 * 1024;

/**
 * The next memory size that is no multiple of 256 KiB: with a multiple, QEMU 7.2 loses dirty pages under TCG (its
 * fast bitmap sync clears bits without resetting TCG's TLB). KVM keeps its own dirty log and does not care.
 */
export function oddMemoryBytes(wantedBytes: number): number {
  const bytes = Math.ceil(wantedBytes / STEP_BYTES) * STEP_BYTES;
  return bytes % FAST_SYNC_BYTES === 0 ? bytes + STEP_BYTES : bytes;
}
