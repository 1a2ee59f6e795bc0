import { X509Certificate } from "node:crypto";
import { connect as connectTcp, type OnReadOpts, type Socket } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { GodwitError } from "../../base/errors.ts";
import type { Credentials } from "../credentials.ts";
import { noCertificate, tlsError } from "./errors.ts";
import { judgeCertificate, type PeerIdentity } from "./identity.ts";
import { secureContextOptions } from "./options.ts";

/** A host that is up answers within milliseconds; 10 s bear two lost packets (TCP tries again after 1 and 3 s). */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Whom to connect to, and as whom. */
export interface ConnectOptions {
  /** A DNS name or IP address. */
  readonly host: string;
  readonly port: number;
  readonly credentials: Credentials;
  /** The name the peer's certificate must be good for, when it isn't `host`. */
  readonly peerName?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For TCP and TLS together; default {@link CONNECT_TIMEOUT_MS}. */
  readonly timeoutMs?: number | undefined;
}

/** A connection on which both sides proved who they are. */
export interface SecureConnection {
  readonly socket: TLSSocket;
  readonly peer: PeerIdentity;
  /** Encrypted bytes of the TCP connection, both ways; 0 for a connection with its own read buffer. */
  bytesOnWire(): number;
}

/**
 * Connects and proves both sides by certificate. In TLS 1.3 the server judges the client after this returned: its
 * refusal arrives as the first thing read.
 * @param onread Node's read buffer option, which cannot be combined with counting the connection's bytes
 * @throws GodwitError `GODWIT_CONNECT_…`, `GODWIT_TLS_…`, `GODWIT_CANCELLED`
 */
export async function connectSecurely(
  options: ConnectOptions,
  onread?: OnReadOpts,
): Promise<SecureConnection> {
  const { host, port, signal } = options;
  const where = `${host} port ${port}`;
  const timeoutMs = options.timeoutMs ?? CONNECT_TIMEOUT_MS;
  if (signal?.aborted) throw cancelled(where, signal);
  let peer: PeerIdentity | undefined;
  const common: ConnectionOptions = {
    ...secureContextOptions(options.credentials),
    servername: "",
    checkServerIdentity: (_name, detail) => {
      try {
        peer = judgeCertificate(new X509Certificate(detail.raw), {
          kind: "host",
          name: options.peerName ?? host,
        });
        return undefined;
      } catch (thrown) {
        return thrown as GodwitError;
      }
    },
  };
  let raw: Socket | undefined;
  if (onread === undefined) {
    raw = connectTcp({ host, port, noDelay: true });
    raw.on("error", () => {});
  }
  const direct = { host, port, onread };
  const socket = connect({ ...common, ...(raw === undefined ? direct : { socket: raw }) });
  socket.setNoDelay(true);
  try {
    await established(socket, raw, where, timeoutMs, signal);
  } catch (thrown) {
    socket.on("error", () => {});
    socket.destroy();
    raw?.destroy();
    throw tlsError(where, thrown);
  }
  if (peer === undefined) {
    socket.destroy();
    throw noCertificate(where);
  }
  return { socket, peer, bytesOnWire: () => (raw === undefined ? 0 : raw.bytesRead + raw.bytesWritten) };
}

function established(
  socket: TLSSocket,
  raw: Socket | undefined,
  where: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.off("error", onError);
      raw?.off("error", onError);
      act();
    };
    const onError = (error: Error) => settle(() => reject(error));
    const onAbort = () => settle(() => reject(cancelled(where, signal as AbortSignal)));
    const timer = setTimeout(
      () =>
        settle(() =>
          reject(
            new GodwitError(
              "GODWIT_CONNECT_TIMEOUT",
              `no TLS connection to ${where} within ${timeoutMs} ms`,
              {
                advice: "check the address, the firewall, and that a Godwit agent listens there",
              },
            ),
          ),
        ),
      timeoutMs,
    );
    socket.once("error", onError);
    raw?.once("error", onError);
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("secureConnect", () => settle(resolve));
  });
}

function cancelled(where: string, signal: AbortSignal): GodwitError {
  if (signal.reason instanceof GodwitError) return signal.reason;
  return new GodwitError("GODWIT_CANCELLED", `connecting to ${where} was cancelled`, {
    cause: signal.reason,
  });
}
