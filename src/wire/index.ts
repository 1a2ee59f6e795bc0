/** The public door of the wire room for the migration; `pki/` has its own, since workers need none of it. */

export { ControlChannel } from "./control/channel.ts";
export type { AgentIntroduction, AuthenticatedChannel, ListenControlOptions } from "./control/connect.ts";
export { connectControl, listenControl } from "./control/connect.ts";
export type { ChannelEnd, ChannelOptions, Waiting } from "./control/link.ts";
export type { ChannelRole } from "./control/message-codec.ts";
export type { Agreement } from "./control/negotiation.ts";
export type { Credentials } from "./credentials.ts";
export { loadCredentialFiles, loadCredentials } from "./credentials.ts";
export type { Message, MessageByType, MessageType } from "./messages/index.ts";
export type { ConnectOptions } from "./tls/connect.ts";
export type { PeerIdentity, PeerKind, PeerRequirement } from "./tls/identity.ts";
export type { PortChoice, SecureListener } from "./tls/listen.ts";
export { authorizePeer, secureContextOptions, serverOptions } from "./tls/options.ts";
