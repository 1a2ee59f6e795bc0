/** The public door of the wire room for the migration; `pki/` has its own, since workers need none of it. */

export { type CompressionMode, type MeasuredRates, shouldCompress } from "./bulk/choice.ts";
export { BatchDecoder, type BatchHandler } from "./bulk/decoder.ts";
export { type BulkReceiver, type DialOptions, dialBulk } from "./bulk/dial.ts";
export { BatchEncoder, type EncoderCounters, type EncoderOptions } from "./bulk/encoder.ts";
export {
  type BulkTotals,
  MAXIMUM_BATCH_PAGES,
  MAXIMUM_FRAME_BYTES,
  PAGE_BYTES,
  pageArea,
} from "./bulk/format.ts";
export { LinkMeter, type LinkReading } from "./bulk/link-meter.ts";
export { BulkListener, type BulkListenOptions } from "./bulk/listener.ts";
export { Pacer } from "./bulk/pacer.ts";
export { TOKEN_BYTES } from "./bulk/preamble.ts";
export { BulkSender, SENDER_BUFFERS } from "./bulk/sender.ts";
export { isZeroPage } from "./bulk/zero.ts";
export { ControlChannel } from "./control/channel.ts";
export type { AgentIntroduction, AuthenticatedChannel, ListenControlOptions } from "./control/connect.ts";
export { connectControl, listenControl } from "./control/connect.ts";
export type { ChannelEnd, ChannelOptions, Waiting } from "./control/link.ts";
export { type ChannelRole, prepareValidators } from "./control/message-codec.ts";
export type { Agreement } from "./control/negotiation.ts";
export type { Credentials } from "./credentials.ts";
export { loadCredentialFiles, loadCredentials } from "./credentials.ts";
export type { Message, MessageByType, MessageType } from "./messages/index.ts";
export type { ConnectOptions } from "./tls/connect.ts";
export type { PeerIdentity, PeerKind, PeerRequirement } from "./tls/identity.ts";
export type { PortChoice, SecureListener } from "./tls/listen.ts";
export { authorizePeer, secureContextOptions, serverOptions } from "./tls/options.ts";
