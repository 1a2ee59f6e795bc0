import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { GodwitError } from "../base/errors.ts";
import type { HelperCall, HelperMessage } from "./helper-serve.ts";
import type { Place } from "./host.ts";

/** A Node process starts in well under a second; a loaded machine gets half a minute. */
const START_TIMEOUT_MS = 30_000;

/** Helpers answer at once, or say by a notice when something has come about. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Standard error that is kept to explain how a helper died. */
const KEPT_ERROR_CHARACTERS = 4000;

/**
 * A program of the lab in a process and place of its own, spoken to over Node's IPC channel: the probe, the link
 * simulator, the portal. It ends with this process, whatever happens.
 */
export class HelperProcess implements AsyncDisposable {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  readonly #listeners = new Set<(value: unknown) => void>();
  readonly #gone: Promise<void>;
  #errorText = "";
  #nextId = 0;
  #readyValue: unknown;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#errorText = (this.#errorText + text).slice(-KEPT_ERROR_CHARACTERS);
    });
    this.#gone = new Promise((resolve) => {
      child.once("close", () => resolve());
      child.once("error", () => resolve());
    });
    child.on("message", (message: HelperMessage) => this.#take(message));
    void this.#gone.then(() => {
      const error = this.#died();
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  /**
   * Starts `src/lab/<script>` in a place, with one JSON value as its argument, and waits until it is ready.
   * @throws GodwitError `GODWIT_LAB_HELPER` with what it wrote to standard error
   */
  static async start(place: Place, script: string, argument: unknown): Promise<HelperProcess> {
    const path = join(import.meta.dirname, script);
    const child = place.spawn(process.execPath, [path, JSON.stringify(argument)], {
      // The leader of a session of its own: see first-in-line.ts.
      detached: true,
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    const helper = new HelperProcess(child);
    try {
      helper.#readyValue = await helper.#answer(-1, START_TIMEOUT_MS);
    } catch (error) {
      await helper[Symbol.asyncDispose]();
      throw error;
    }
    return helper;
  }

  /** What it said when it was ready. */
  get ready(): unknown {
    return this.#readyValue;
  }

  /** Asks it something. @throws GodwitError `GODWIT_LAB_HELPER` */
  call(method: string, argument: unknown = null): Promise<unknown> {
    const id = this.#nextId;
    this.#nextId += 1;
    if (!this.#child.connected) return Promise.reject(this.#died());
    this.#child.send({ id, method, argument } satisfies HelperCall);
    return this.#answer(id, ANSWER_TIMEOUT_MS);
  }

  /** Listens to what it says unasked; gives the way to stop listening. */
  onNotice(listener: (value: unknown) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends it and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#gone;
  }

  #answer(id: number, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(() => reject(failed("does not answer"))), timeoutMs);
      const settle = (then: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        then();
      };
      this.#waiting.set(id, {
        resolve: (value) => settle(() => resolve(value)),
        reject: (error) => settle(() => reject(error)),
      });
    });
  }

  #take(message: HelperMessage): void {
    if (message.kind === "notice") {
      for (const listener of this.#listeners) listener(message.value);
    } else if (message.kind === "ready") {
      this.#waiting.get(-1)?.resolve(message.value);
    } else if (message.error !== undefined) {
      this.#waiting.get(message.id)?.reject(failed(message.error));
    } else {
      this.#waiting.get(message.id)?.resolve(message.value);
    }
  }

  #died(): GodwitError {
    return failed(`has ended: ${this.#errorText.trim() || `exit code ${this.#child.exitCode}`}`);
  }
}

function failed(why: string): GodwitError {
  return new GodwitError("GODWIT_LAB_HELPER", `a helper process of the lab ${why}`, { side: "local" });
}
