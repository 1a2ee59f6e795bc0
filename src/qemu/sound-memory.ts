import type { QemuVersion } from "./version.ts";

/** QEMU syncs the dirty log of memory of such sizes 64 pages of 4 KiB at once, and that of all others page by page. */
const QUICK_SYNC_BYTES = 256 * 1024;

/** The smallest step in which a machine's memory can grow. */
const STEP_BYTES = 8 * 1024;

/** From here on the quick sync has the emulator log the next write to each page again. */
const SOUND_QUICK_SYNC_MAJOR = 9;

/** Whether QEMU's quick sync of the dirty log is the sound one of the two under TCG. */
function isQuickSyncSound(version: Pick<QemuVersion, "major">): boolean {
  return version.major >= SOUND_QUICK_SYNC_MAJOR;
}

/**
 * Whether a migration by this QEMU under TCG may leave behind what a guest with so much memory writes. Before version 9
 * the quick sync of the dirty log loses dirty pages every time. The slow one loses a page in some 150 syncs of a guest
 * that dirties as fast as it can; the quick one of version 9 and later, which re-arms every page with the next sync, was not
 * seen to (docs/testing.md, "A race in QEMU's emulation"). KVM keeps its own dirty log and does not care.
 */
export function losesUpdates(memoryBytes: number, version: Pick<QemuVersion, "major">): boolean {
  return (memoryBytes % QUICK_SYNC_BYTES === 0) !== isQuickSyncSound(version);
}

/** The next memory size with which this QEMU under TCG keeps what its guest writes. */
export function soundMemoryBytes(wantedBytes: number, version: Pick<QemuVersion, "major">): number {
  const step = isQuickSyncSound(version) ? QUICK_SYNC_BYTES : STEP_BYTES;
  const bytes = Math.ceil(wantedBytes / step) * step;
  return losesUpdates(bytes, version) ? bytes + STEP_BYTES : bytes;
}
