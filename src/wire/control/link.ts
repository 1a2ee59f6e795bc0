import type { Duplex } from "node:stream";
import { asGodwitError, type ErrorRecord, GodwitError } from "../../base/errors.ts";
import type { Message, MessageByType, MessageType } from "../messages/index.ts";
import { type Frame, FrameReader } from "./framing.ts";
import { Inbox } from "./inbox.ts";
import { Liveness, type LivenessOptions } from "./liveness.ts";
import { type ChannelRole, decodeMessage, encodeMessage } from "./message-codec.ts";

/**
 * Messages that may wait for their taker before the socket is read no further. A migration is a dialogue, so
 * more than a few never wait; device states are the exception and get back-pressure from this.
 */
const INBOX_MESSAGES = 16;

/** Bytes that may wait for the socket: four of the largest frames. Beyond it the sender ignored `send()`'s promise. */
const OUTBOX_BYTES = 20 * 1024 * 1024;

/** How long a closing channel waits for its last messages to leave. */
const CLOSE_TIMEOUT_MS = 2_000;

/** How a channel is opened. */
export interface ChannelOptions extends LivenessOptions {
  readonly role: ChannelRole;
  /** This agent's name, as the peer shows it in messages. */
  readonly agentName: string;
  readonly softwareVersion: string;
  /** Only for tests of negotiation. */
  readonly versions?: { readonly minimum: number; readonly maximum: number };
  readonly features?: readonly string[];
  readonly signal?: AbortSignal;
  readonly helloTimeoutMs?: number;
  /** Counts the connection's encrypted bytes; zero where there is no such count. */
  readonly bytesOnWire?: () => number;
}

/** Why and by whom a channel was closed. */
export interface ChannelEnd {
  readonly by: "us" | "peer" | "failure";
  readonly error: GodwitError;
}

/** How long to wait for a message. */
export interface Waiting {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

/** The moving parts of a channel: they exist before the hello that makes it one. Used through `ControlChannel`. */
export class ChannelLink {
  readonly closed: Promise<ChannelEnd>;
  readonly aborted: Promise<GodwitError>;
  ended: ChannelEnd | undefined;

  readonly #socket: Duplex;
  readonly #options: ChannelOptions;
  readonly #reader = new FrameReader((frame) => this.#onFrame(frame));
  readonly #inbox = new Inbox(() => this.#onTaken());
  readonly #liveness: Liveness;
  readonly #settleClosed: (end: ChannelEnd) => void;
  readonly #settleAborted: (error: GodwitError) => void;
  #outboxBytes = 0;
  #closing = false;

  constructor(socket: Duplex, options: ChannelOptions) {
    this.#socket = socket;
    this.#options = options;
    const closed = Promise.withResolvers<ChannelEnd>();
    const aborted = Promise.withResolvers<GodwitError>();
    this.closed = closed.promise;
    this.aborted = aborted.promise;
    this.#settleClosed = closed.resolve;
    this.#settleAborted = aborted.resolve;
    this.#liveness = new Liveness(options, {
      beat: () => this.#beat(),
      lost: (error) => this.#end({ by: "failure", error }),
    });
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    socket.on("error", (error) => this.#end({ by: "failure", error: linkClosed(error) }));
    socket.on("close", () => this.#onEnd());
  }

  bytesOnWire(): number {
    return this.#options.bytesOnWire?.() ?? 0;
  }

  startLiveness(): void {
    if (this.ended === undefined) this.#liveness.start();
  }

  take(waiting: Waiting): Promise<Message> {
    return this.#inbox.take(waiting);
  }

  async send(message: Message): Promise<void> {
    if (this.ended !== undefined) throw this.ended.error;
    const frame = encodeMessage(message, this.#options.role);
    if (this.#outboxBytes + frame.length > OUTBOX_BYTES) {
      throw new GodwitError(
        "GODWIT_WIRE_QUEUE_FULL",
        `${this.#outboxBytes} bytes of control messages wait for the link already`,
        { advice: "await each send(); this is a defect of the sender" },
      );
    }
    this.#outboxBytes += frame.length;
    this.#liveness.sent();
    await new Promise<void>((resolve, reject) => {
      this.#socket.write(frame, (error) => {
        this.#outboxBytes -= frame.length;
        if (error) reject(this.ended?.error ?? linkClosed(error));
        else resolve();
      });
    });
  }

  async receive<Type extends MessageType>(
    types: readonly Type[],
    waiting: Waiting,
  ): Promise<MessageByType<Type>> {
    const message = await this.#inbox.take(waiting);
    if ((types as readonly string[]).includes(message.type)) return message as MessageByType<Type>;
    if (message.type === "abort") throw GodwitError.fromRecord(message.error);
    const error = new GodwitError(
      "GODWIT_WIRE_UNEXPECTED",
      `the peer sent "${message.type}" where ${types.map((type) => `"${type}"`).join(" or ")} was due`,
      { advice: "run the same version of Godwit on both hosts" },
    );
    void this.#breach(error);
    throw error;
  }

  async abort(error: ErrorRecord, migrationId: string | undefined): Promise<void> {
    if (this.ended === undefined && !this.#closing) {
      const identity = migrationId === undefined ? {} : { migrationId };
      this.send({ type: "abort", ...identity, error }).catch(() => {});
    }
    await this.close();
  }

  async close(): Promise<void> {
    if (this.ended === undefined && !this.#closing) {
      this.#closing = true;
      this.#liveness.stop();
      this.#finishSocket();
    }
    await this.closed;
  }

  #onData(chunk: Buffer): void {
    if (this.ended !== undefined || this.#closing) return;
    this.#liveness.heard();
    try {
      this.#reader.push(chunk);
    } catch (thrown) {
      void this.#breach(asGodwitError(thrown, "GODWIT_WIRE_INVALID"));
    }
    if (this.#inbox.length >= INBOX_MESSAGES) {
      this.#socket.pause();
      this.#liveness.deaf();
    }
  }

  #beat(): void {
    if (this.#outboxBytes === 0) this.send({ type: "heartbeat" }).catch(() => {});
  }

  #onTaken(): void {
    if (this.#inbox.length < INBOX_MESSAGES && this.#socket.isPaused() && this.ended === undefined) {
      this.#liveness.heard();
      this.#socket.resume();
    }
  }

  #onFrame(frame: Frame): void {
    const message = decodeMessage(frame, this.#options.role);
    if (message.type === "heartbeat") return;
    if (message.type === "abort") this.#settleAborted(GodwitError.fromRecord(message.error));
    this.#inbox.put(message);
  }

  #onEnd(): void {
    if (this.#closing) {
      this.#end({ by: "us", error: new GodwitError("GODWIT_LINK_CLOSED", "this side closed the link") });
      return;
    }
    const torn = this.#reader.atBoundary ? "" : " in the middle of a message";
    this.#end({
      by: this.#reader.atBoundary ? "peer" : "failure",
      error: new GodwitError("GODWIT_LINK_CLOSED", `the peer closed the link${torn}`),
    });
  }

  async #breach(error: GodwitError): Promise<void> {
    if (this.ended !== undefined) return;
    this.send({ type: "abort", error: error.toJSON() }).catch(() => {});
    this.#end({ by: "failure", error }, "finish");
  }

  #end(end: ChannelEnd, socket: "destroy" | "finish" = "destroy"): void {
    if (this.ended !== undefined) return;
    this.ended = end;
    this.#liveness.stop();
    this.#inbox.end(end.error);
    if (socket === "destroy") this.#socket.destroy();
    else this.#finishSocket();
    this.#settleClosed(end);
  }

  /**
   * Lets the last messages leave and reads on until the peer closes too: closing with unread bytes would make
   * the kernel send a reset, which can overtake what we said last.
   */
  #finishSocket(): void {
    this.#socket.end();
    this.#socket.resume();
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS);
    this.#socket.once("close", () => clearTimeout(timer));
  }
}

function linkClosed(error: Error): GodwitError {
  return asGodwitError(error, "GODWIT_LINK_CLOSED", {
    advice: "look at the network between the hosts and at the other agent's log",
  });
}
