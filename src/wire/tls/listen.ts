import type { AddressInfo, Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { asGodwitError, GodwitError } from "../../base/errors.ts";
import type { Credentials } from "../credentials.ts";
import type { SecureConnection } from "./connect.ts";
import { tlsError } from "./errors.ts";
import type { PeerIdentity, PeerRequirement } from "./identity.ts";
import { authorizePeer, serverOptions } from "./options.ts";

/** As long as the connecting side waits; after that nobody is there any more. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Connections at once, the unproven ones included: agents are few, so more are an attack or a defect. */
const MAXIMUM_CONNECTIONS = 64;

/** One port, or a range of which the first free one is taken. 0 lets the kernel choose. */
export type PortChoice = number | { readonly from: number; readonly to: number };

/** Where to listen and whom to accept. */
export interface ListenOptions {
  readonly host: string;
  readonly port: PortChoice;
  readonly credentials: Credentials;
  readonly requirement: PeerRequirement;
  /** Takes over an authenticated connection. */
  readonly onConnection: (connection: SecureConnection) => void;
  /** Told about every peer that was refused, and why. */
  readonly onRefused?: ((error: GodwitError, remoteAddress: string) => void) | undefined;
  /** May still write to a peer that was refused, to tell it why; the socket is closed afterwards. */
  readonly sayRefused?: ((socket: TLSSocket, error: GodwitError) => void) | undefined;
}

/** A listening TLS server. */
export interface SecureListener {
  readonly port: number;
  /** Stops listening; connections that were handed over stay. */
  close(): Promise<void>;
}

/**
 * Listens with TLS 1.3 and judges every client before anybody sees it.
 * @throws GodwitError `GODWIT_LISTEN_TAKEN`, `GODWIT_LISTEN_FAILED`
 */
export async function listenSecurely(options: ListenOptions): Promise<SecureListener> {
  const pending = new Set<Socket>();
  const rawByPeer = new Map<string, Socket>();
  const server = createServer({
    ...serverOptions(options.credentials),
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    noDelay: true,
  });
  server.maxConnections = MAXIMUM_CONNECTIONS;
  server.on("connection", (raw: Socket) => {
    const key = peerKey(raw);
    rawByPeer.set(key, raw);
    pending.add(raw);
    raw.on("close", () => {
      pending.delete(raw);
      if (rawByPeer.get(key) === raw) rawByPeer.delete(key);
    });
  });
  server.on("tlsClientError", (error, socket) => {
    options.onRefused?.(tlsError(socket.remoteAddress ?? "a peer", error), socket.remoteAddress ?? "");
    socket.destroy();
  });
  server.on("secureConnection", (socket) => {
    const raw = rawByPeer.get(peerKey(socket));
    let peer: PeerIdentity;
    try {
      peer = authorizePeer(socket, options.requirement);
    } catch (thrown) {
      const error = asGodwitError(thrown, "GODWIT_TLS_HANDSHAKE");
      options.onRefused?.(error, socket.remoteAddress ?? "");
      refuse(socket, error, options);
      return;
    }
    if (raw !== undefined) pending.delete(raw);
    const bytesOnWire = () => (raw === undefined ? 0 : raw.bytesRead + raw.bytesWritten);
    options.onConnection({ socket, peer, bytesOnWire });
  });
  const port = await listen(server, options);
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const raw of pending) raw.destroy();
        resolve();
      }),
  };
}

/** Says why, where there is a way to, and makes sure that the socket goes even if the peer stays. */
function refuse(socket: TLSSocket, error: GodwitError, options: ListenOptions): void {
  socket.on("error", () => {});
  options.sayRefused?.(socket, error);
  socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), 2_000);
  socket.on("close", () => clearTimeout(timer));
}

async function listen(server: Server, options: ListenOptions): Promise<number> {
  const { from, to } =
    typeof options.port === "number" ? { from: options.port, to: options.port } : options.port;
  for (let port = from; ; port += 1) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, options.host, () => {
          server.off("error", reject);
          resolve();
        });
      });
      return (server.address() as AddressInfo).port;
    } catch (thrown) {
      const code = (thrown as NodeJS.ErrnoException).code;
      if (code === "EADDRINUSE" && port < to) continue;
      const ports = from === to ? `port ${from}` : `any port from ${from} to ${to}`;
      throw new GodwitError(
        code === "EADDRINUSE" ? "GODWIT_LISTEN_TAKEN" : "GODWIT_LISTEN_FAILED",
        `can't listen on ${options.host} ${ports}: ${code}`,
        { advice: "choose another port or address, or end what uses it", cause: thrown },
      );
    }
  }
}

function peerKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
