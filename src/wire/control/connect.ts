import type { GodwitError } from "../../base/errors.ts";
import type { Credentials } from "../credentials.ts";
import { type ConnectOptions, connectSecurely } from "../tls/connect.ts";
import type { PeerIdentity } from "../tls/identity.ts";
import { listenSecurely, type PortChoice, type SecureListener } from "../tls/listen.ts";
import { ControlChannel } from "./channel.ts";
import type { LivenessOptions } from "./liveness.ts";
import { encodeMessage } from "./message-codec.ts";

/** Who this agent says it is in its hello. */
export interface AgentIntroduction {
  readonly agentName: string;
  readonly softwareVersion: string;
}

/** A control channel and whom its other end proved to be. */
export interface AuthenticatedChannel {
  readonly channel: ControlChannel;
  readonly peer: PeerIdentity;
}

/**
 * Connects to another agent as the source of a migration.
 * @throws GodwitError `GODWIT_CONNECT_…`, `GODWIT_TLS_…` (from either side's judgement), `GODWIT_WIRE_…`
 */
export async function connectControl(
  options: ConnectOptions & AgentIntroduction & LivenessOptions,
): Promise<AuthenticatedChannel> {
  const { socket, peer, bytesOnWire } = await connectSecurely(options);
  const channel = await ControlChannel.open(socket, {
    ...channelOptions(options),
    role: "source",
    bytesOnWire,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  return { channel, peer };
}

/** Where an agent takes control channels. */
export interface ListenControlOptions extends AgentIntroduction, LivenessOptions {
  readonly host: string;
  readonly port: PortChoice;
  readonly credentials: Credentials;
  /**
   * Takes over a channel whose peer is proven to be a host and whose hello was accepted. `remoteAddress` is where it
   * dialled from.
   */
  readonly onChannel: (channel: ControlChannel, peer: PeerIdentity, remoteAddress: string) => void;
  /** Told about every peer that was refused: by TLS, by its certificate or by its hello. */
  readonly onRefused?: (error: GodwitError, remoteAddress: string) => void;
}

/**
 * Listens for other agents, as the destination of their migrations. A refused peer is told why in an `abort`
 * message; a peer that doesn't speak TLS 1.3 gets an alert.
 * @throws GodwitError `GODWIT_LISTEN_TAKEN`, `GODWIT_LISTEN_FAILED`
 */
export function listenControl(options: ListenControlOptions): Promise<SecureListener> {
  return listenSecurely({
    host: options.host,
    port: options.port,
    credentials: options.credentials,
    requirement: { kind: "host" },
    onRefused: options.onRefused,
    sayRefused: (socket, error) => {
      socket.write(encodeMessage({ type: "abort", error: error.toJSON() }, "destination"));
    },
    onConnection: ({ socket, peer, bytesOnWire }) => {
      const remoteAddress = socket.remoteAddress ?? "";
      ControlChannel.open(socket, { ...channelOptions(options), role: "destination", bytesOnWire }).then(
        (channel) => options.onChannel(channel, peer, remoteAddress),
        (error: GodwitError) => options.onRefused?.(error, remoteAddress),
      );
    },
  });
}

function channelOptions(options: AgentIntroduction & LivenessOptions): AgentIntroduction & LivenessOptions {
  return {
    agentName: options.agentName,
    softwareVersion: options.softwareVersion,
    ...(options.lostAfterMs === undefined ? {} : { lostAfterMs: options.lostAfterMs }),
    ...(options.heartbeatIntervalMs === undefined
      ? {}
      : { heartbeatIntervalMs: options.heartbeatIntervalMs }),
  };
}
