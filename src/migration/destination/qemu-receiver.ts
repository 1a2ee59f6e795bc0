import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../../base/errors.ts";
import { setCapabilities } from "../../qemu/capabilities.ts";
import { isEvent } from "../../qemu/qmp-events.ts";
import type { RunningMachine } from "../../qemu/running-machine.ts";

/** Loading device state takes milliseconds; a QEMU that needs longer than this hangs. */
const LOAD_TIMEOUT_MS = 60_000;

/** Between two looks at a QEMU that has said `completed` and is about to say `paused`. */
const STATUS_POLL_MS = 1;

/** The receiving side of a QEMU that was started to wait for a migration, and to stay paused after it. */
export class QemuReceiver {
  readonly #machine: RunningMachine;
  #loaded: Promise<void> | null = null;
  #postcopy = false;

  constructor(machine: RunningMachine) {
    this.#machine = machine;
  }

  /** Whether this QEMU can run the guest before all pages are there: it was asked to, and has user faults. */
  get takesPostcopy(): boolean {
    return this.#postcopy;
  }

  /**
   * Opens QEMU's incoming side. `late-block-activate` keeps it from taking the disks' locks before `cont`: that is
   * what makes `cont` the one action by which the guest changes hands.
   */
  async open(wantsPostcopy: boolean, signal: AbortSignal): Promise<Socket> {
    const { qmp, folder } = this.#machine;
    await setCapabilities(qmp, { events: true, "late-block-activate": true }, { signal });
    if (wantsPostcopy) {
      this.#postcopy = await setCapabilities(qmp, { "postcopy-ram": true }, { signal }).then(
        () => true,
        () => signal.aborted,
      );
      signal.throwIfAborted();
    }
    const path = join(folder, "in.sock");
    const ended = qmp.waitForEvent(
      (event) =>
        isEvent(event, "MIGRATION") && (event.data.status === "completed" || event.data.status === "failed"),
      { signal },
    );
    this.#loaded = ended.then((event) => {
      if ((event.data as { status: string }).status === "failed")
        throw this.#loadFailed("it reported failed");
    });
    this.#loaded.catch(() => {});
    await qmp.execute("migrate-incoming", { uri: `unix:${path}` }, { signal });
    const socket = connect({ path, allowHalfOpen: true });
    socket.pause();
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (error) => reject(this.#loadFailed(error.message)));
    });
    return socket;
  }

  /**
   * Resolves when QEMU has loaded everything and stands ready to run.
   * @throws GodwitError `GODWIT_QEMU_LOAD` when it refused the stream, `GODWIT_QEMU_GONE` when it died of it
   */
  async loaded(signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.timeout(LOAD_TIMEOUT_MS);
    await new Promise<void>((resolve, reject) => {
      const late = () =>
        reject(signal.aborted ? signal.reason : this.#loadFailed("it does not come to an end"));
      signal.addEventListener("abort", late, { once: true });
      limit.addEventListener("abort", late, { once: true });
      this.#loaded!.then(resolve, reject);
    });
    await this.#standsReady(signal);
  }

  /** Resolves when a QEMU that has loaded the devices of a post-copy package stands ready to run. */
  async prepared(loaded: Promise<void>, signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.timeout(LOAD_TIMEOUT_MS);
    const refused = this.#loaded!.then(() => {
      throw this.#loadFailed("it ended before the guest ran");
    });
    const late = new Promise<never>((_, reject) => {
      limit.addEventListener("abort", () => reject(this.#loadFailed("it does not load the devices")), {
        once: true,
      });
    });
    late.catch(() => {});
    refused.catch(() => {});
    await Promise.race([loaded, refused, late]);
    await this.#standsReady(signal);
  }

  /** The word of QEMU comes a moment before its run state changes. */
  async #standsReady(signal: AbortSignal): Promise<void> {
    for (;;) {
      const { status } = await this.#machine.qmp.execute("query-status", {}, { signal });
      if (status !== "inmigrate") return;
      await sleep(STATUS_POLL_MS);
    }
  }

  /**
   * Continues the guest: the commit itself. QEMU takes the disks' locks here, or refuses.
   * @returns the time of its RESUME event, in milliseconds since the epoch
   */
  async resume(): Promise<number> {
    const { qmp } = this.#machine;
    const resumed = qmp.waitForEvent("RESUME");
    await qmp.execute("cont");
    const { timestampMs } = await resumed;
    // QEMU announced the guest's addresses when it had loaded; switches may have learned better since.
    qmp.execute("announce-self", { initial: 10, max: 550, rounds: 5, step: 100 }).catch(() => {});
    return timestampMs;
  }

  #loadFailed(why: string): GodwitError {
    return new GodwitError("GODWIT_QEMU_LOAD", `the destination's QEMU did not take the migration: ${why}`, {
      side: "destination",
      advice: `see its log ${this.#machine.logPath}; most often the two machines differ`,
    });
  }
}
