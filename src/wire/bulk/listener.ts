import { timingSafeEqual } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { GodwitError } from "../../base/errors.ts";
import type { Credentials } from "../credentials.ts";
import type { SecureConnection } from "../tls/connect.ts";
import { listenSecurely, type PortChoice, type SecureListener } from "../tls/listen.ts";
import type { Pacer } from "./pacer.ts";
import { ANSWER_ACCEPTED, ANSWER_REFUSED, checkToken, PREAMBLE_BYTES, tokenOf } from "./preamble.ts";
import { BulkSender } from "./sender.ts";

/** The dialling side sends its preamble at once; this bears two lost packets. */
const PREAMBLE_TIMEOUT_MS = 10_000;

/** Where to listen and for whom. */
export interface BulkListenOptions {
  readonly host: string;
  /** 0 lets the kernel choose; a range takes the first free one. */
  readonly port: PortChoice;
  readonly credentials: Credentials;
  /** The name or address that the dialling host's certificate must be good for. */
  readonly peerName: string;
  /** 32 random bytes, as given to the other side in `bulk-offer`. */
  readonly token: Uint8Array;
  /** The bandwidth cap that the connection keeps. */
  readonly pacer?: Pacer | undefined;
  /** Told about every peer that was refused; the listener goes on waiting for the right one. */
  readonly onRefused?: ((error: GodwitError, remoteAddress: string) => void) | undefined;
}

/** Waits for the one bulk connection of a thread, then stops listening. */
export class BulkListener {
  readonly port: number;
  readonly #listener: SecureListener;
  readonly #accepted: PromiseWithResolvers<BulkSender>;

  private constructor(listener: SecureListener, accepted: PromiseWithResolvers<BulkSender>) {
    this.port = listener.port;
    this.#listener = listener;
    this.#accepted = accepted;
  }

  /** @throws GodwitError `GODWIT_LISTEN_TAKEN`, `GODWIT_LISTEN_FAILED`, `GODWIT_BULK_TOKEN` for a token that is none */
  static async listen(options: BulkListenOptions): Promise<BulkListener> {
    checkToken(options.token);
    const accepted = Promise.withResolvers<BulkSender>();
    accepted.promise.catch(() => {});
    const waiting = new Set<TLSSocket>();
    let taken = false;
    const listener = await listenSecurely({
      host: options.host,
      port: options.port,
      credentials: options.credentials,
      requirement: { kind: "host", name: options.peerName },
      onRefused: options.onRefused,
      sayRefused: (socket) => socket.write(Buffer.from([ANSWER_REFUSED])),
      onConnection: (connection) => {
        waiting.add(connection.socket);
        readPreamble(connection, options.token, (error) => {
          waiting.delete(connection.socket);
          if (error !== undefined || taken) {
            refuse(
              connection.socket,
              error ?? new GodwitError("GODWIT_BULK_TOKEN", "the connection exists"),
              options,
            );
            return;
          }
          taken = true;
          connection.socket.write(Buffer.from([ANSWER_ACCEPTED]));
          void listener.close();
          for (const socket of waiting) socket.destroy();
          accepted.resolve(new BulkSender(connection.socket, connection.bytesOnWire, options.pacer));
        });
      },
    });
    return new BulkListener(listener, accepted);
  }

  /**
   * The one connection, once it stands.
   * @throws GodwitError `GODWIT_CANCELLED` after {@link close} or by the signal, which both stop the listener
   */
  async accept(signal?: AbortSignal): Promise<BulkSender> {
    const onAbort = () => this.close();
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await this.#accepted.promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Stops listening. A connection that was accepted stays. */
  close(): void {
    void this.#listener.close();
    this.#accepted.reject(new GodwitError("GODWIT_CANCELLED", "the bulk listener was closed"));
  }
}

function readPreamble(
  connection: SecureConnection,
  token: Uint8Array,
  done: (error?: GodwitError) => void,
): void {
  const { socket } = connection;
  const bytes = Buffer.alloc(PREAMBLE_BYTES);
  let filled = 0;
  const settle = (error?: GodwitError) => {
    clearTimeout(timer);
    socket.off("data", onData);
    socket.off("close", onClose);
    socket.off("error", onClose);
    done(error);
  };
  const onClose = () =>
    settle(new GodwitError("GODWIT_BULK_TOKEN", "a peer left before it showed its token"));
  const onData = (chunk: Buffer) => {
    if (chunk.length > PREAMBLE_BYTES - filled) {
      settle(new GodwitError("GODWIT_BULK_TOKEN", "a peer sent more than its token"));
      return;
    }
    filled += chunk.copy(bytes, filled);
    if (filled < PREAMBLE_BYTES) return;
    const shown = tokenOf(bytes);
    const right = shown !== undefined && timingSafeEqual(shown, token);
    settle(
      right
        ? undefined
        : new GodwitError("GODWIT_BULK_TOKEN", "a peer showed a token that isn't this migration's"),
    );
  };
  const timer = setTimeout(
    () => settle(new GodwitError("GODWIT_BULK_TOKEN", `no token within ${PREAMBLE_TIMEOUT_MS} ms`)),
    PREAMBLE_TIMEOUT_MS,
  );
  socket.on("data", onData);
  socket.on("close", onClose);
  socket.on("error", onClose);
}

function refuse(socket: TLSSocket, error: GodwitError, options: BulkListenOptions): void {
  options.onRefused?.(error, socket.remoteAddress ?? "");
  socket.on("error", () => {});
  socket.end(Buffer.from([ANSWER_REFUSED]), () => socket.destroy());
}
