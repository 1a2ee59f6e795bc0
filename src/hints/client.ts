import { randomInt } from "node:crypto";
import { connect, type Socket } from "node:net";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import { abortError, type WaitOptions, waiting } from "../base/waiting.ts";
import { FrameReader } from "./frame-reader.ts";
import type { FreePageLister } from "./free-page-lister.ts";
import { joinSlices, type SliceAnswer } from "./join-slices.ts";
import {
  badAnswer,
  type DropCacheAnswer,
  decodeDropCache,
  decodeFreePages,
  decodeHello,
  decodeKernelPages,
  decodeWorkingSet,
  encodeFrame,
  encodeRequest,
  type Frame,
  type FreePagesAnswer,
  type FreePagesRequest,
  HELPER_PROTOCOL_VERSION,
  type HelperHello,
  type KernelPagesAnswer,
  type KernelPagesRequest,
  type PageRange,
  payloadOf,
  type RequestName,
  requestTypes,
  type WorkingSetAnswer,
  type WorkingSetRequest,
} from "./protocol.ts";

/** A helper that is there answers in milliseconds; an emulated guest that is busy may take a second. */
const HELLO_TIMEOUT_MS = 2_000;

/** What is asked for at once takes an emulated guest half a second at worst, carrying 8 MiB of list some 0.2 s. */
const ANSWER_TIMEOUT_MS = 5_000;

/**
 * Guest pages that are asked about at once where kpageflags are read, 256 MiB: 0.15 to 0.4 s of an emulated guest that
 * is busy. All of 8 GiB take it 8 to 25 s, and the helper answers one after the other.
 */
export const SLICE_PAGES = 65_536;

/** How long to wait for an answer, beside what the request itself takes. */
export type AskOptions = WaitOptions;

/** A request that waits for its answer. */
interface Pending {
  readonly sequence: number;
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: GodwitError) => void;
}

/**
 * The connection to a guest's helper over its channel's unix socket. Whatever the guest does, each call ends: with an
 * answer that was checked, or with a typed error, after which the connection is of no more use and closed. Only an
 * error that the helper itself gave (`GODWIT_HELPER_REFUSED`) leaves it open.
 *
 * Requests go one at a time, in the order of the calls; the time of each begins with its turn. What is long to list is
 * asked for in slices, so that other requests have their turn between them.
 */
export class GuestHelper implements FreePageLister {
  readonly hello: HelperHello;
  readonly #link: Link;
  readonly #pageCount: number;

  private constructor(link: Link, hello: HelperHello, pageCount: number) {
    this.#link = link;
    this.hello = hello;
    this.#pageCount = pageCount;
  }

  /**
   * Connects and exchanges hellos.
   * @param pageCount guest page numbers that it may speak of are below this
   * @throws GodwitError `GODWIT_HELPER_UNREACHABLE`, `GODWIT_HELPER_SILENT`, `GODWIT_HELPER_ANSWER`, `GODWIT_ABORTED`
   */
  static async connect(path: string, pageCount: number, options: AskOptions = {}): Promise<GuestHelper> {
    const link = await Link.open(path, options);
    const hello = await link.ask("hello", encodeRequest.hello(), decodeHello, {
      timeoutMs: HELLO_TIMEOUT_MS,
      ...options,
    });
    return new GuestHelper(link, hello, pageCount);
  }

  /** Whether it can still be asked. */
  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  /** Bytes that came from the guest so far. */
  get receivedBytes(): number {
    return this.#link.receivedBytes;
  }

  /** Lists free pages as they are after this call began. @throws GodwitError `GODWIT_HELPER_…`, `GODWIT_ABORTED` */
  freePages(request: FreePagesRequest, options: AskOptions = {}): Promise<FreePagesAnswer> {
    const isDriversTurn = request.source !== "kpageflags" && this.hello.canAskDriver;
    const slicePages = isDriversTurn ? this.#pageCount : SLICE_PAGES;
    const ask = (range: PageRange, mostRuns: number, within: AskOptions) => {
      const asked = { ...request, mostRuns };
      const decode = (payload: Buffer) => decodeFreePages(payload, asked, range);
      return this.#link.ask("freePages", encodeRequest.freePages(asked, range), decode, within);
    };
    return this.#listed(ask, { slicePages, mostRuns: request.mostRuns }, options);
  }

  /** Tells which pages were touched. @throws as {@link freePages} */
  workingSet(request: WorkingSetRequest, options: AskOptions = {}): Promise<WorkingSetAnswer> {
    const mostRuns = Math.min(request.mostRuns, this.hello.mostRuns);
    const asked = { ...request, mostRuns };
    const decode = (payload: Buffer) => decodeWorkingSet(payload, asked, this.#pageCount);
    const timeoutMs = ANSWER_TIMEOUT_MS + request.scans * request.intervalMs;
    return this.#link.ask("workingSet", encodeRequest.workingSet(asked), decode, { timeoutMs, ...options });
  }

  /** Lists the pages of the guest's kernel. @throws as {@link freePages} */
  kernelPages(request: KernelPagesRequest, options: AskOptions = {}): Promise<KernelPagesAnswer> {
    const ask = (range: PageRange, mostRuns: number, within: AskOptions) => {
      const asked = { ...request, mostRuns };
      const decode = (payload: Buffer) => decodeKernelPages(payload, asked, range);
      return this.#link.ask("kernelPages", encodeRequest.kernelPages(asked, range), decode, within);
    };
    return this.#listed(ask, { slicePages: SLICE_PAGES, mostRuns: request.mostRuns }, options);
  }

  /** Has the guest drop clean page cache, and waits for it so long. @throws as {@link freePages} */
  dropCache(withinMs: number, options: AskOptions = {}): Promise<DropCacheAnswer> {
    const timeoutMs = ANSWER_TIMEOUT_MS + withinMs;
    const payload = encodeRequest.dropCache({ timeoutMs: withinMs });
    return this.#link.ask("dropCache", payload, decodeDropCache, { timeoutMs, ...options });
  }

  /** A list of all of the guest's pages, of as many slices as that takes. A time in the options is for all of them. */
  async #listed<Answer extends SliceAnswer>(
    ask: (range: PageRange, mostRuns: number, options: AskOptions) => Promise<Answer>,
    most: { readonly slicePages: number; readonly mostRuns: number },
    { timeoutMs, signal }: AskOptions,
  ): Promise<Answer> {
    const beginMs = performance.now();
    const leftMs = () => {
      if (timeoutMs === undefined) return ANSWER_TIMEOUT_MS;
      return Math.max(0, timeoutMs - (performance.now() - beginMs));
    };
    const slices: Answer[] = [];
    let leftRuns = Math.min(most.mostRuns, this.hello.mostRuns);
    let firstPage = 0;
    for (; firstPage < this.#pageCount && leftRuns > 0; firstPage += most.slicePages) {
      const range = { firstPage, endPage: Math.min(this.#pageCount, firstPage + most.slicePages) };
      const slice = await ask(range, leftRuns, { signal, timeoutMs: leftMs() });
      slices.push(slice);
      leftRuns -= slice.runs.length / 2;
    }
    return joinSlices(slices, firstPage >= this.#pageCount);
  }

  /** Ends it; what waits fails. */
  close(): void {
    this.#link.close(new GodwitError("GODWIT_HELPER_UNREACHABLE", "the connection to the helper was closed"));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Frames over a socket: a request out, its answer in. */
class Link {
  readonly #socket: Socket;
  readonly #session = randomInt(1, 2 ** 32);
  readonly #reader = new FrameReader(this.#session);
  #sequence = 0;
  #pending: Pending | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #ended: GodwitError | null = null;
  receivedBytes = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#received(bytes));
    socket.on("error", (error) => this.close(unreachable(error.message)));
    socket.on("close", () => this.close(unreachable("QEMU closed the channel")));
  }

  static async open(path: string, options: AskOptions): Promise<Link> {
    const socket = connect(path);
    const open = new Promise<Link>((resolve, reject) => {
      socket.once("connect", () => resolve(new Link(socket)));
      socket.once("error", (error) => reject(unreachable(error.message)));
    });
    try {
      return await waiting(open, { timeoutMs: HELLO_TIMEOUT_MS, ...options }, silent);
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#ended === null;
  }

  ask<Answer>(
    request: RequestName,
    payload: Buffer,
    decode: (payload: Buffer) => Answer,
    options: AskOptions,
  ): Promise<Answer> {
    const answer = this.#turn.then(() => this.#ask(request, payload, decode, options));
    this.#turn = answer.catch(() => {});
    return answer;
  }

  async #ask<Answer>(
    request: RequestName,
    payload: Buffer,
    decode: (payload: Buffer) => Answer,
    options: AskOptions,
  ): Promise<Answer> {
    if (this.#ended !== null) throw this.#ended;
    if (options.signal?.aborted === true) throw abortError(options.signal);
    this.#sequence += 1;
    const sequence = this.#sequence;
    const answer = new Promise<Frame>((resolve, reject) => {
      this.#pending = { sequence, resolve, reject };
    });
    this.#socket.write(encodeFrame(requestTypes[request], this.#session, sequence, payload));
    try {
      const frame = await waiting(answer, { timeoutMs: ANSWER_TIMEOUT_MS, ...options }, silent);
      return decode(payloadOf(frame, request));
    } catch (thrown) {
      const error = asGodwitError(thrown, "GODWIT_HELPER_ANSWER");
      if (error.code !== "GODWIT_HELPER_REFUSED") this.close(error);
      throw error;
    }
  }

  close(error: GodwitError): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    this.#socket.destroy();
    const pending = this.#pending;
    this.#pending = null;
    pending?.reject(error);
  }

  #received(bytes: Buffer): void {
    if (this.#ended !== null) return;
    this.receivedBytes += bytes.length;
    try {
      for (const frame of this.#reader.push(bytes)) this.#take(frame);
    } catch (thrown) {
      this.close(asGodwitError(thrown, "GODWIT_HELPER_ANSWER"));
    }
  }

  #take(frame: Frame): void {
    const pending = this.#pending;
    if (pending === null || frame.sequence !== pending.sequence) throw badAnswer("nobody asked for it");
    if (frame.version !== HELPER_PROTOCOL_VERSION) throw badAnswer(`version ${frame.version}`);
    this.#pending = null;
    pending.resolve(frame);
  }
}

function silent(): GodwitError {
  return new GodwitError("GODWIT_HELPER_SILENT", "the guest's helper did not answer in time", {
    advice: "the migration goes on without it; look whether the helper runs in the guest",
  });
}

function unreachable(why: string): GodwitError {
  return new GodwitError("GODWIT_HELPER_UNREACHABLE", `the guest's helper can't be reached: ${why}`, {
    advice: "the migration goes on without it",
  });
}
