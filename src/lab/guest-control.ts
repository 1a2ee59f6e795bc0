import { setTimeout as delay } from "node:timers/promises";
import type { z } from "zod";
import { GodwitError } from "../base/errors.ts";
import {
  answerSchema,
  type DiskVerdict,
  diskVerdictSchema,
  type GuestStatus,
  statusSchema,
  type Verdict,
  verdictSchema,
} from "./guest-answers.ts";
import type { GuestTransport } from "./guest-transport.ts";
import { connectSerial } from "./guest-transport-serial.ts";
import { openDatagrams } from "./guest-transport-udp.ts";

/** How the dirtier and the reader treat the held memory. What is left out stays as it is. */
export interface WorkSettings {
  /** The dirtier's area, from the start of the held memory. */
  readonly hotBytes?: number;
  /** Bytes of pages touched each second: each touched page counts 4096. */
  readonly dirtyBytesPerSecond?: number;
  readonly order?: "sequential" | "random";
  /** Rewrite whole pages, or only 17 words in each: cheap, and a torn page still shows. */
  readonly rewrite?: "stamps" | "pages";
  readonly readAreaBytes?: number;
  readonly readBytesPerSecond?: number;
}

/** What the guest is to hold and to do. */
export interface LoadSettings extends WorkSettings {
  readonly holdBytes: number;
  readonly content?: "text" | "random";
}

/** For every command: `timeoutMs` bounds the wait for the answer, `signal` ends it. */
export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A guest of an emulated machine that shares its two cores may need this long for an ordinary answer. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Checking and filling run at 200 MiB/s in an emulated guest: 24 GiB in two minutes. */
const LONG_ANSWER_TIMEOUT_MS = 120_000;
/** Often enough not to lengthen a measurement, seldom enough not to disturb it. */
const READY_POLL_MS = 100;

/**
 * Speaks with the load generator in a test guest (protocol: `guest/load/README.md`).
 *
 * Every method throws a GodwitError: `GODWIT_GUEST_REFUSED` when the guest says no, `GODWIT_GUEST_SILENT` when no
 * answer comes in time or the connection ends, `GODWIT_GUEST_ANSWER` when the answer makes no sense.
 */
export class GuestControl {
  readonly #transport: GuestTransport;

  constructor(transport: GuestTransport) {
    this.#transport = transport;
  }

  /**
   * Over the virtio-serial port named `org.godwit.lab.0`, which QEMU shows as a listening unix socket. May be
   * called as soon as QEMU runs: the first answer comes when the guest is up.
   */
  static async overSerial(path: string, options: CommandOptions = {}): Promise<GuestControl> {
    return new GuestControl(await connectSerial(path, options.signal));
  }

  /** Over the guest's network; lost datagrams are repeated, and the guest obeys each command once. */
  static async overUdp(host: string, port = 7000): Promise<GuestControl> {
    return new GuestControl(await openDatagrams(host, port));
  }

  /** Sends one command as text and returns the checked answer. */
  async command<Schema extends z.ZodType>(
    text: string,
    schema: Schema,
    options: CommandOptions = {},
  ): Promise<z.infer<Schema>> {
    const timeoutMs = options.timeoutMs ?? ANSWER_TIMEOUT_MS;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
    const line = await this.#transport.exchange(text, signal).catch((cause: unknown) => {
      if (timeout.aborted) throw silent(text, `did not answer within ${timeoutMs} ms`, cause);
      throw cause;
    });
    return parseAnswer(text, line, schema);
  }

  /** Resolves when the load generator answers. */
  async ping(options?: CommandOptions): Promise<void> {
    await this.command("ping", answerSchema, options);
  }

  status(options?: CommandOptions): Promise<GuestStatus> {
    return this.command("status", statusSchema, options);
  }

  /** Takes new memory in place of what was held and begins to fill it; see {@link waitUntilReady}. */
  async load(settings: LoadSettings, options?: CommandOptions): Promise<void> {
    const words = [`hold=${settings.holdBytes}`, `content=${settings.content ?? "text"}`, ...work(settings)];
    await this.command(`load ${words.join(" ")}`, answerSchema, options);
  }

  /** Resolves with the status when all memory is filled. Bounded by the signal only. */
  async waitUntilReady(options: CommandOptions = {}): Promise<GuestStatus> {
    for (;;) {
      const status = await this.status(options);
      if (status.state === "ready") return status;
      if (status.state === "idle") throw refused("waitUntilReady", "the guest holds nothing");
      await delay(READY_POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal });
    }
  }

  /** Changes rates and areas; content stays. */
  async set(settings: WorkSettings, options?: CommandOptions): Promise<void> {
    await this.command(["set", ...work(settings)].join(" "), answerSchema, options);
  }

  /** Ends dirtying, reading and churning; memory stays held. */
  async stop(options?: CommandOptions): Promise<void> {
    await this.command("stop", answerSchema, options);
  }

  /** Gives all held memory back. */
  async free(options?: CommandOptions): Promise<void> {
    await this.command("free", answerSchema, options);
  }

  /** Checks every held page while dirtying stands still. A damaged page is in the verdict, not an error. */
  verify(options?: CommandOptions): Promise<Verdict> {
    return this.command("verify", verdictSchema, { timeoutMs: LONG_ANSWER_TIMEOUT_MS, ...options });
  }

  /** Fills memory with random content and frees it, so that the guest's free memory isn't zero. */
  async fillAndFree(bytes: number, options?: CommandOptions): Promise<void> {
    await this.command(`fillfree size=${bytes}`, answerSchema, {
      timeoutMs: LONG_ANSWER_TIMEOUT_MS,
      ...options,
    });
  }

  /** Allocates and frees checked blocks all the time, `bytes` being in use; 0 ends it. */
  async churn(bytes: number, bytesPerSecond: number, options?: CommandOptions): Promise<void> {
    await this.command(`churn size=${bytes} rate=${bytesPerSecond}`, answerSchema, options);
  }

  /** Begins to write numbered, durable records to a block device of the guest. */
  async openDisk(path: string, bytesPerSecond: number, options?: CommandOptions): Promise<void> {
    await this.command(`disk path=${path} rate=${bytesPerSecond}`, answerSchema, options);
  }

  /** Reads all records back. */
  verifyDisk(options?: CommandOptions): Promise<DiskVerdict> {
    return this.command("disk-verify", diskVerdictSchema, { timeoutMs: LONG_ANSWER_TIMEOUT_MS, ...options });
  }

  async closeDisk(options?: CommandOptions): Promise<void> {
    await this.command("disk-close", answerSchema, options);
  }

  /** Damages a page on purpose, to see that {@link verify} finds it. */
  async corrupt(
    kind: "torn" | "stale" | "lost" | "tracker",
    page: number,
    options?: CommandOptions,
  ): Promise<void> {
    await this.command(`corrupt kind=${kind} page=${page}`, answerSchema, options);
  }

  async powerOff(options?: CommandOptions): Promise<void> {
    await this.command("poweroff", answerSchema, options);
  }

  async reboot(options?: CommandOptions): Promise<void> {
    await this.command("reboot", answerSchema, options);
  }

  close(): void {
    this.#transport.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function work(settings: WorkSettings): string[] {
  const words: [string, string | number | undefined][] = [
    ["hot", settings.hotBytes],
    ["dirty", settings.dirtyBytesPerSecond],
    ["order", settings.order],
    ["rewrite", settings.rewrite],
    ["readhot", settings.readAreaBytes],
    ["read", settings.readBytesPerSecond],
  ];
  return words.filter(([, value]) => value !== undefined).map(([key, value]) => `${key}=${value}`);
}

function parseAnswer<Schema extends z.ZodType>(
  command: string,
  line: string,
  schema: Schema,
): z.infer<Schema> {
  let answer: z.infer<typeof answerSchema>;
  try {
    answer = answerSchema.parse(JSON.parse(line));
    if (answer.ok) return schema.parse(answer);
  } catch (cause) {
    throw new GodwitError("GODWIT_GUEST_ANSWER", `the guest's answer to "${command}" makes no sense`, {
      cause,
    });
  }
  throw refused(command, answer.error ?? "no reason given");
}

function refused(command: string, reason: string): GodwitError {
  return new GodwitError("GODWIT_GUEST_REFUSED", `the guest refused "${command}": ${reason}`);
}

function silent(command: string, what: string, cause: unknown): GodwitError {
  return new GodwitError("GODWIT_GUEST_SILENT", `the guest ${what} ("${command}")`, {
    advice: "see whether the guest is up: its serial console is in the machine's log",
    cause,
  });
}
