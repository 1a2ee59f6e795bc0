import { setTimeout as delay } from "node:timers/promises";
import type { GuestStatus, Verdict } from "./guest-answers.ts";
import { GuestControl } from "./guest-control.ts";

/** What the guest shall hold and do while it is moved. */
export interface GuestLoad {
  readonly holdBytes: number;
  readonly content: "random" | "text";
  readonly dirtyBytesPerSecond: number;
  readonly hotBytes: number;
  /** What is written into a page that is dirtied: 17 words all over it, or all of it. */
  readonly rewrite: "stamps" | "pages";
  /** How fast all that is held is read through. */
  readonly readBytesPerSecond: number;
  /** Fill the guest's free memory with random content first and give it back: no guest that ever worked has zeros. */
  readonly freeMemory: "used" | "untouched";
  /** The guest's whole memory. */
  readonly memoryBytes: number;
}

/** A guest of 2 GiB boots in about 3 s; a loaded machine gets two minutes. */
const BOOT_TIMEOUT_MS = 120_000;

/** The dirtier tells its rate of the last full second; it gets this long to come near the wanted one. */
const STEADY_TIMEOUT_MS = 15_000;

/** A rate this near to the wanted one is steady: an emulated guest rarely gets nearer. */
const STEADY_SHARE = 0.9;

/** Filling and checking run at 200 MiB/s; a guest that gets a hundredth of that is still alive. */
const SLOWEST_BYTES_PER_MS = 2 * 1024 * 1.024;

/** What kernel, initrd and page structures need: filling more would have the kernel look for a victim. */
const KERNEL_BYTES = 112 * 1024 ** 2;
const KERNEL_SHARE = 0.04;

/** How long the guest may need to fill or check an amount of memory. */
export function patienceMs(bytes: number): number {
  return 120_000 + Math.ceil(bytes / SLOWEST_BYTES_PER_MS);
}

/** Opens the guest's control port for as long as `work` takes: QEMU serves one program at a time. */
export async function withGuest<Result>(
  controlPath: string,
  work: (guest: GuestControl) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const options = signal === undefined ? {} : { signal };
  using guest = await GuestControl.overSerial(controlPath, options);
  return await work(guest);
}

/** Waits until the guest is up, loads it, and waits until everything is filled. Gives the guest's own figures. */
export async function loadGuest(
  controlPath: string,
  load: GuestLoad,
  options: { signal?: AbortSignal; say?(text: string): void } = {},
): Promise<GuestStatus> {
  const { signal, say = () => {} } = options;
  const waiting = signal === undefined ? {} : { signal };
  return withGuest(
    controlPath,
    async (guest) => {
      await guest.ping({ timeoutMs: BOOT_TIMEOUT_MS, ...waiting });
      const usableBytes = load.memoryBytes * (1 - KERNEL_SHARE) - KERNEL_BYTES;
      if (load.freeMemory === "used" && usableBytes > 0) {
        say("the guest uses all its memory once and gives it back");
        await guest.fillAndFree(Math.floor(usableBytes / 4096) * 4096, {
          timeoutMs: patienceMs(usableBytes),
          ...waiting,
        });
      }
      if (load.holdBytes === 0) return guest.status(waiting);
      say("the guest fills what it holds");
      await guest.load(
        {
          holdBytes: load.holdBytes,
          content: load.content,
          hotBytes: Math.min(load.hotBytes, load.holdBytes),
          dirtyBytesPerSecond: load.dirtyBytesPerSecond,
          rewrite: load.rewrite,
          readBytesPerSecond: load.readBytesPerSecond,
        },
        waiting,
      );
      await guest.waitUntilReady(waiting);
      return steady(guest, load, signal);
    },
    signal,
  );
}

/** Waits until the guest dirties at about the rate it was told. What it achieves is in the status. */
export async function steady(
  guest: GuestControl,
  load: Pick<GuestLoad, "dirtyBytesPerSecond">,
  signal?: AbortSignal,
): Promise<GuestStatus> {
  const waiting = signal === undefined ? {} : { signal };
  const deadline = performance.now() + STEADY_TIMEOUT_MS;
  for (;;) {
    const status = await guest.status(waiting);
    const enough = status.dirty.achievedBytesPerSecond >= load.dirtyBytesPerSecond * STEADY_SHARE;
    if (enough || performance.now() > deadline) return status;
    await delay(250, undefined, waiting);
  }
}

/** What a guest's check of itself came to, in words; null when nothing was wrong. */
export function damageOf(verdict: Verdict): string | null {
  if (verdict.bad === 0) return null;
  const { torn, stale, lost, tracker, churn, pages, first } = verdict;
  const examples = first.map(({ page, kind, frame }) => `${kind} page ${page} (frame ${frame})`).join(", ");
  const counts = `${torn} torn, ${stale} stale, ${lost} lost of ${pages} pages`;
  return `${counts}, ${tracker} contradictions in its own record, ${churn} damaged while free; ${examples}`;
}
