import { asGodwitError, GodwitError } from "../../base/errors.ts";
import { type ConnectOptions, connectSecurely } from "../tls/connect.ts";
import { acknowledgement, pageRequest } from "./acknowledgement.ts";
import { BatchDecoder, type BatchHandler } from "./decoder.ts";
import type { BulkTotals } from "./format.ts";
import type { KeptPages } from "./kept-pages.ts";
import { ANSWER_ACCEPTED, preamble } from "./preamble.ts";

/**
 * One read buffer for the life of the connection. TLS hands over at most one record (16 KiB) a time, so more would
 * never be filled.
 */
const READ_BUFFER_BYTES = 65_536;

/** Whom to dial and where the pages go. */
export interface DialOptions extends ConnectOptions {
  /** From `bulk-offer`. */
  readonly token: Uint8Array;
  /** Pages per RAM block, by index, as announced in `stream-head`. */
  readonly blockPages: readonly number[];
  /** Called synchronously as frames arrive: while it works nothing is read, which is the back-pressure. */
  readonly handler: BatchHandler;
  /** What the connection carried before; undefined where the source doesn't count on it. */
  readonly kept?: KeptPages | undefined;
}

/** The reading end of a bulk connection. */
export interface BulkReceiver {
  /** Bytes of frames read so far, without TLS. */
  readonly receivedBytes: number;
  readonly totals: BulkTotals;
  /** Settles once: null after the sender's goodbye, otherwise why it ended. Never rejects. */
  readonly closed: Promise<GodwitError | null>;
  /** Asks the sender for pages of a RAM block; for the connection that answers faults. */
  request(block: number, firstPage: number, pageCount: number): void;
  /** Stops reading after the frames in what was read already, so that the sender has to wait. */
  pause(): void;
  resume(): void;
  close(): void;
}

/**
 * Dials a bulk listener, shows the token and delivers what comes. The dialling side reads into a buffer of its own,
 * which halves the processor time of reading; Node offers that only to the side that connects.
 * @throws GodwitError `GODWIT_CONNECT_…`, `GODWIT_TLS_…`, `GODWIT_BULK_REFUSED`, `GODWIT_BULK_TOKEN`,
 * `GODWIT_CANCELLED`
 */
export async function dialBulk(options: DialOptions): Promise<BulkReceiver> {
  const greeting = preamble(options.token);
  const receiver = new Receiver(options);
  const { socket } = await connectSecurely(options, {
    buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
    callback: (length, buffer) => receiver.read(length, buffer as Buffer),
  });
  receiver.attach(socket);
  socket.write(greeting);
  try {
    await receiver.accepted(options.timeoutMs ?? 10_000, options.signal);
  } catch (thrown) {
    receiver.close();
    throw thrown;
  }
  return receiver;
}

interface PausableSocket {
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end" | "close", listener: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
  write(bytes: Uint8Array): unknown;
  destroy(): unknown;
}

class Receiver implements BulkReceiver {
  readonly closed: Promise<GodwitError | null>;
  receivedBytes = 0;
  readonly #decoder: BatchDecoder;
  readonly #closed = Promise.withResolvers<GodwitError | null>();
  readonly #accepted = Promise.withResolvers<void>();
  #acknowledgedBatches = 0;
  #answered = false;
  #paused = false;
  #settled = false;
  #socket: PausableSocket | undefined;

  constructor(options: DialOptions) {
    this.closed = this.#closed.promise;
    this.#decoder = new BatchDecoder(options.blockPages, options.handler, options.kept);
    this.#accepted.promise.catch(() => {});
  }

  get totals(): BulkTotals {
    return this.#decoder.totals;
  }

  attach(socket: PausableSocket): void {
    this.#socket = socket;
    socket.on("error", (error) => this.#settle(asGodwitError(error, "GODWIT_BULK_LINK")));
    socket.on("end", () => this.#onEnd());
    socket.on("close", () => this.#onEnd());
  }

  async accepted(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const fail = (error: GodwitError) => this.#settle(error);
    const onAbort = () => fail(asGodwitError(signal?.reason, "GODWIT_CANCELLED"));
    const timer = setTimeout(
      () =>
        fail(
          new GodwitError(
            "GODWIT_CONNECT_TIMEOUT",
            `no answer on the bulk connection within ${timeoutMs} ms`,
          ),
        ),
      timeoutMs,
    );
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await this.#accepted.promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Node's `onread` callback: false stops reading. */
  read(length: number, buffer: Buffer): boolean {
    if (this.#settled) return false;
    try {
      if (this.#answered) {
        this.receivedBytes += length;
        this.#decoder.push(buffer, length);
      } else {
        this.#answer(buffer.subarray(0, length));
      }
      this.#acknowledge();
    } catch (thrown) {
      this.#settle(asGodwitError(thrown, "GODWIT_BULK_PLACE"));
    }
    return !this.#paused && !this.#settled;
  }

  /** One acknowledgement for all batches that a read completed. */
  #acknowledge(): void {
    const { batches } = this.#decoder.totals;
    if (batches === this.#acknowledgedBatches) return;
    this.#acknowledgedBatches = batches;
    this.#socket?.write(acknowledgement(batches));
  }

  request(block: number, firstPage: number, pageCount: number): void {
    this.#socket?.write(pageRequest(block, firstPage, pageCount));
  }

  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#settled) this.#socket?.resume();
  }

  close(): void {
    this.#settle(new GodwitError("GODWIT_CANCELLED", "the bulk connection was given up"));
  }

  #answer(bytes: Buffer): void {
    if (bytes[0] !== ANSWER_ACCEPTED) {
      throw new GodwitError("GODWIT_BULK_REFUSED", "the source refused this bulk connection", {
        advice: "its log says why: another certificate or another migration's token",
      });
    }
    this.#answered = true;
    this.#accepted.resolve();
    const rest = bytes.subarray(1);
    this.receivedBytes += rest.length;
    this.#decoder.push(rest);
  }

  #onEnd(): void {
    if (this.#decoder.ended) {
      this.#settle(null);
      return;
    }
    this.#settle(
      this.#answered
        ? new GodwitError("GODWIT_BULK_LINK", "the source closed the bulk connection before its end", {
            advice: "look at the network between the hosts and at the other agent's log",
          })
        : new GodwitError("GODWIT_BULK_REFUSED", "the source closed the bulk connection without an answer"),
    );
  }

  #settle(reason: GodwitError | null): void {
    if (this.#settled) return;
    this.#settled = true;
    if (reason !== null) this.#accepted.reject(reason);
    this.#closed.resolve(reason);
    this.#socket?.destroy();
  }
}
