import type { Duplex } from "node:stream";
import { asGodwitError, type ErrorRecord, type GodwitError } from "../../base/errors.ts";
import type { Hello } from "../messages/hello.ts";
import type { Message, MessageByType, MessageType } from "../messages/index.ts";
import { type ChannelEnd, ChannelLink, type ChannelOptions, type Waiting } from "./link.ts";
import type { ChannelRole } from "./message-codec.ts";
import { type Agreement, negotiate, OWN_FEATURES, OWN_VERSIONS } from "./negotiation.ts";

/** How long the peer may take for its hello: it needs none of it unless it is dead or no agent. */
const HELLO_TIMEOUT_MS = 10_000;

/**
 * The control connection between two agents: typed messages in strict order, both ways. A message that isn't
 * valid, known and allowed in its direction closes the channel with a `GODWIT_WIRE_…` error, and the peer is
 * told in an `abort`. A peer that stays silent too long ends it with `GODWIT_LINK_LOST`.
 */
export class ControlChannel {
  readonly role: ChannelRole;
  /** The peer's hello. */
  readonly peer: Hello;
  readonly agreement: Agreement;
  /** Settles once, never rejects. */
  readonly closed: Promise<ChannelEnd>;
  /** Resolves with the peer's error when it sends `abort`, also before that message is taken; may never settle. */
  readonly aborted: Promise<GodwitError>;

  readonly #link: ChannelLink;

  private constructor(link: ChannelLink, role: ChannelRole, peer: Hello, agreement: Agreement) {
    this.#link = link;
    this.role = role;
    this.peer = peer;
    this.agreement = agreement;
    this.closed = link.closed;
    this.aborted = link.aborted;
  }

  /**
   * Takes a connected, authenticated stream and exchanges hellos. On any failure the stream is destroyed.
   * @throws GodwitError `GODWIT_WIRE_VERSION`, `GODWIT_TIMEOUT`, `GODWIT_LINK_…`, the peer's own error in an `abort`
   */
  static async open(socket: Duplex, options: ChannelOptions): Promise<ControlChannel> {
    const link = new ChannelLink(socket, options);
    const own: Hello = {
      type: "hello",
      minimumVersion: options.versions?.minimum ?? OWN_VERSIONS.minimum,
      maximumVersion: options.versions?.maximum ?? OWN_VERSIONS.maximum,
      features: [...(options.features ?? OWN_FEATURES)],
      agentName: options.agentName,
      softwareVersion: options.softwareVersion,
    };
    try {
      link.send(own).catch(() => {});
      const timeoutMs = options.helloTimeoutMs ?? HELLO_TIMEOUT_MS;
      const peer = await link.receive(["hello"], { signal: options.signal, timeoutMs });
      const agreement = negotiate(own, peer);
      link.startLiveness();
      return new ControlChannel(link, options.role, peer, agreement);
    } catch (thrown) {
      const error = asGodwitError(thrown, "GODWIT_LINK_CLOSED");
      await link.abort(error.toJSON(), undefined);
      throw error;
    }
  }

  /** Bytes of the underlying TCP connection, both ways, TLS included. */
  get bytesOnWire(): number {
    return this.#link.bytesOnWire();
  }

  /**
   * Sends a message; settles when the kernel took it. Awaiting it is the back-pressure.
   * @throws GodwitError `GODWIT_WIRE_INVALID`, `GODWIT_WIRE_TOO_LARGE`, `GODWIT_WIRE_QUEUE_FULL`, `GODWIT_LINK_…`
   */
  send(message: Message): Promise<void> {
    return this.#link.send(message);
  }

  /**
   * The next message, which must be of one of the given types. A peer's `abort` that wasn't asked for is thrown
   * as the peer's error; any other type is a breach: it closes the channel.
   * @throws GodwitError `GODWIT_WIRE_UNEXPECTED`, `GODWIT_TIMEOUT`, `GODWIT_CANCELLED`, `GODWIT_LINK_…`, the peer's
   */
  receive<const Type extends MessageType>(
    types: Type | readonly Type[],
    waiting: Waiting = {},
  ): Promise<MessageByType<Type>> {
    return this.#link.receive(typeof types === "string" ? [types] : types, waiting);
  }

  /**
   * Every message as it comes. Ends when either side closed the channel, throws when it failed. A peer's `abort`
   * is delivered like any other message.
   */
  async *messages(waiting: Pick<Waiting, "signal"> = {}): AsyncGenerator<Message, void, void> {
    for (;;) {
      let message: Message;
      try {
        message = await this.#link.take(waiting);
      } catch (thrown) {
        const ended = this.#link.ended;
        if (ended !== undefined && ended.by !== "failure" && thrown === ended.error) return;
        throw thrown;
      }
      yield message;
    }
  }

  /** Tells the peer why, then closes. Never throws; waits at most two seconds for the message to leave. */
  abort(error: ErrorRecord, migrationId?: string): Promise<void> {
    return this.#link.abort(error, migrationId);
  }

  /** Sends what is queued and closes. Never throws; waits at most two seconds. */
  close(): Promise<void> {
    return this.#link.close();
  }
}
