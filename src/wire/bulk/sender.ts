import type { TLSSocket } from "node:tls";
import { asGodwitError, GodwitError } from "../../base/errors.ts";
import { AcknowledgementReader, type RequestListener } from "./acknowledgement.ts";
import { AT, MAXIMUM_FRAME_BYTES, TYPE_BATCH } from "./format.ts";
import { LinkMeter } from "./link-meter.ts";
import type { Pacer } from "./pacer.ts";

/**
 * Buffers of one connection: one being filled, one being sent, two so that neither waits for the other. A buffer is
 * free again when the kernel took its bytes. With TLS's own copy of what is under way that bounds a connection's
 * memory at eight frames, 8.1 MiB, however slow the receiver.
 */
export const SENDER_BUFFERS = 4;

/** TLS 1.3 cuts into records of 16 KiB and adds a head of 5, a type byte and a tag of 16 to each. */
const RECORD_BYTES = 16_384;
const RECORD_OVERHEAD_BYTES = 22;

/** How long the last bytes may take to leave. */
const END_TIMEOUT_MS = 10_000;

/** The writing end of a bulk connection. */
export class BulkSender {
  /** Measures what the connection takes; for `BatchEncoder`'s `auto`. */
  readonly meter = new LinkMeter();
  /** Settles once: null after {@link end}, otherwise why the connection broke. Never rejects. */
  readonly closed: Promise<GodwitError | null>;

  readonly #socket: TLSSocket;
  readonly #bytesOnWire: () => number;
  readonly #pacer: Pacer | undefined;
  readonly #free: Buffer[] = [];
  readonly #settleClosed: (reason: GodwitError | null) => void;
  readonly #acknowledgements: AcknowledgementReader;
  #onRequest: RequestListener | undefined;
  #onPlaced: (batches: number) => void = () => {};
  #batchesSent = 0;
  #failed: GodwitError | undefined;
  #ending = false;
  #notBeforeMs = 0;
  #wake: (() => void) | undefined;

  /** @param bytesOnWire encrypted bytes of the TCP connection, both ways */
  constructor(socket: TLSSocket, bytesOnWire: () => number, pacer?: Pacer) {
    this.#socket = socket;
    this.#bytesOnWire = bytesOnWire;
    this.#pacer = pacer;
    this.#acknowledgements = new AcknowledgementReader((block, firstPage, pageCount) => {
      if (this.#onRequest === undefined) {
        throw new GodwitError("GODWIT_BULK_FRAME", "the receiver asked for pages where nobody answers");
      }
      this.#onRequest(block, firstPage, pageCount);
    });
    const closed = Promise.withResolvers<GodwitError | null>();
    this.closed = closed.promise;
    this.#settleClosed = closed.resolve;
    for (let index = 0; index < SENDER_BUFFERS; index += 1) {
      this.#free.push(Buffer.allocUnsafeSlow(MAXIMUM_FRAME_BYTES));
    }
    socket.on("error", (error) => this.#fail(asGodwitError(error, "GODWIT_BULK_LINK")));
    socket.on("data", (bytes) => this.#acknowledged(bytes));
    socket.on("end", () => this.#onEnd());
    socket.on("close", () => this.#onEnd());
  }

  /** Bytes of the TCP connection both ways, TLS and its handshake included, without TCP's and IP's own heads. */
  get bytesOnWire(): number {
    return this.#bytesOnWire();
  }

  /** Calls back with the batches that the receiver has placed so far, each time there are more. */
  onPlaced(listener: (batches: number) => void): void {
    this.#onPlaced = listener;
  }

  /** Calls back with each page that the receiver asks for; before, a request breaks the connection. */
  onRequest(listener: RequestListener): void {
    this.#onRequest = listener;
  }

  /** A free buffer to build the next frame in, the same until it is written; undefined: await {@link drained}. */
  buffer(): Buffer | undefined {
    return this.#free.at(-1);
  }

  /**
   * Sends a frame. One that was built in {@link buffer} goes out without a copy.
   * @returns false when {@link drained} must be awaited before the next
   * @throws GodwitError why the connection broke; `GODWIT_BULK_FULL` without a free buffer
   */
  write(frame: Buffer): boolean {
    if (this.#failed !== undefined) throw this.#failed;
    const buffer = this.#free.pop();
    if (buffer === undefined || this.#ending) {
      throw new GodwitError("GODWIT_BULK_FULL", "a frame was written before the connection had drained", {
        advice: "await drained(); this is a defect of the sender",
      });
    }
    if (frame[AT.type] === TYPE_BATCH) this.#batchesSent += 1;
    let bytes = frame;
    if (frame.buffer !== buffer.buffer) bytes = buffer.subarray(0, frame.copy(buffer));
    const wireBytes = frame.length + Math.ceil(frame.length / RECORD_BYTES) * RECORD_OVERHEAD_BYTES;
    this.#socket.write(bytes, () => {
      this.#free.push(buffer);
      this.meter.took(wireBytes);
      this.#wake?.();
    });
    const waitMs = this.#pacer?.reserve(wireBytes) ?? 0;
    if (waitMs > 0) this.#notBeforeMs = performance.now() + waitMs;
    return this.#free.length > 0 && waitMs === 0;
  }

  /**
   * Waits until a frame can be written: a buffer is free and the bandwidth cap allows it.
   * @throws GodwitError why the connection broke; `GODWIT_CANCELLED`
   */
  async drained(signal?: AbortSignal): Promise<void> {
    this.meter.waits();
    try {
      for (;;) {
        if (this.#failed !== undefined) throw this.#failed;
        if (signal?.aborted) throw asGodwitError(signal.reason, "GODWIT_CANCELLED");
        const waitMs = this.#notBeforeMs - performance.now();
        if (waitMs <= 0 && this.#free.length > 0) return;
        await this.#sleep(waitMs > 0 ? waitMs : undefined, signal);
      }
    } finally {
      this.meter.goesOn();
    }
  }

  /**
   * Closes after everything written has left; the last frame should be a goodbye.
   * @throws GodwitError why the connection broke before that
   */
  async end(): Promise<void> {
    if (!this.#ending && this.#failed === undefined) {
      this.#ending = true;
      this.#socket.end();
      const timer = setTimeout(() => {
        this.#fail(
          new GodwitError(
            "GODWIT_BULK_LINK",
            `the receiver didn't take the last pages in ${END_TIMEOUT_MS} ms`,
          ),
        );
      }, END_TIMEOUT_MS);
      this.closed.then(() => clearTimeout(timer));
    }
    const reason = await this.closed;
    if (reason !== null) throw reason;
  }

  /** Breaks the connection off at once. */
  destroy(
    reason: GodwitError = new GodwitError("GODWIT_CANCELLED", "the bulk connection was given up"),
  ): void {
    this.#fail(reason);
  }

  #acknowledged(bytes: Buffer): void {
    if (this.#failed !== undefined) return;
    try {
      this.#acknowledgements.push(bytes, this.#batchesSent);
    } catch (thrown) {
      this.#fail(asGodwitError(thrown, "GODWIT_BULK_FRAME"));
      return;
    }
    this.#onPlaced(this.#acknowledgements.placed);
  }

  #sleep(waitMs: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        this.#wake = undefined;
        resolve();
      };
      const timer = waitMs === undefined ? undefined : setTimeout(wake, waitMs);
      signal?.addEventListener("abort", wake, { once: true });
      this.#wake = wake;
    });
  }

  #onEnd(): void {
    if (!this.#ending) {
      this.#fail(
        new GodwitError("GODWIT_BULK_LINK", "the receiver closed the bulk connection", {
          advice: "look at the network between the hosts and at the other agent's log",
        }),
      );
      return;
    }
    this.#settleClosed(null);
    this.#socket.destroy();
  }

  #fail(reason: GodwitError): void {
    if (this.#failed !== undefined) return;
    this.#failed = reason;
    this.#socket.destroy();
    this.#settleClosed(reason);
    this.#wake?.();
  }
}
