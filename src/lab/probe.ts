import { GodwitError } from "../base/errors.ts";
import { HelperProcess } from "./helper-process.ts";
import type { Place } from "./host.ts";
import type { ProbeWindow } from "./probe-gaps.ts";

/** What to probe. */
export interface ProbeTarget {
  readonly host: string;
  /** A UDP port that echoes. */
  readonly port: number;
  /** Time between probes; 1 ms if absent. */
  readonly intervalMs?: number;
}

/**
 * The client outside: a process of its own that sends a UDP datagram each millisecond to the guest's echo port and
 * notes when which was answered. Times are those of `Date.now()`. It costs an emulated guest most of a processor, so
 * measured moves have it send only while they listen.
 */
export class Probe implements AsyncDisposable {
  readonly #helper: HelperProcess;

  private constructor(helper: HelperProcess) {
    this.#helper = helper;
  }

  /** Makes a probe at `place` that doesn't send yet. @throws GodwitError `GODWIT_LAB_HELPER` */
  static async at(place: Place, target: ProbeTarget): Promise<Probe> {
    return new Probe(await HelperProcess.start(place, "probe-process.ts", { intervalMs: 1, ...target }));
  }

  /** Starts to probe from `place`. @throws GodwitError `GODWIT_LAB_HELPER` */
  static async start(place: Place, target: ProbeTarget): Promise<Probe> {
    const probe = await Probe.at(place, target);
    await probe.resume();
    return probe;
  }

  /** Sends from now on. */
  async resume(): Promise<void> {
    await this.#helper.call("resume");
  }

  /** Sends nothing until the next `resume`; what was seen is kept. */
  async pause(): Promise<void> {
    await this.#helper.call("pause");
  }

  /**
   * Waits until a probe sent at or after a time is answered: whoever has the guest's address now is alive.
   * @throws GodwitError `GODWIT_LAB_NO_ANSWER` after `timeoutMs`
   */
  async answeredAfter(timeMs: number, options: { timeoutMs: number; signal?: AbortSignal }): Promise<void> {
    const { timeoutMs, signal } = options;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = this.#helper.onNotice((value) => value === "answered" && resolve());
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    const timer = setTimeout(() => {
      reject(
        new GodwitError("GODWIT_LAB_NO_ANSWER", `the guest answered no probe for ${timeoutMs} ms`, {
          side: "local",
          advice: "look at the guest's serial console in its state folder: did it crash?",
        }),
      );
    }, timeoutMs);
    try {
      await Promise.all([promise, this.#helper.call("noticeAnswerSentAfter", timeMs)]);
    } finally {
      stop();
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /**
   * What the client saw between two times. Ask a second after the window's end or later: an answer that is still
   * under way counts as lost.
   */
  async look(fromMs: number, toMs: number): Promise<ProbeWindow> {
    return (await this.#helper.call("look", { fromMs, toMs })) as ProbeWindow;
  }

  /** Writes every probe as a line of tab-separated text: sequence, time sent, milliseconds until the answer. */
  async save(path: string): Promise<void> {
    await this.#helper.call("save", path);
  }

  /** Ends it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#helper[Symbol.asyncDispose]();
  }
}
