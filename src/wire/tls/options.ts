import type { SecureContextOptions, TLSSocket } from "node:tls";
import type { Credentials } from "../credentials.ts";
import { noCertificate, tlsError } from "./errors.ts";
import { judgeCertificate, type PeerIdentity, type PeerRequirement } from "./identity.ts";

/**
 * TLS 1.3 and nothing older. Its three cipher suites stay in OpenSSL's order: AES-256-GCM costs the same as
 * AES-128 here and ChaCha20 1.8 times as much.
 */
export function secureContextOptions(credentials: Credentials): SecureContextOptions {
  return {
    ca: credentials.caPem,
    cert: credentials.certPem,
    key: credentials.keyPem,
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
  };
}

/**
 * Options for a server that judges its clients with {@link authorizePeer}. Node itself would only hang up on a
 * bad client; without `rejectUnauthorized` the server can tell the client why. No connection may be used before
 * `authorizePeer` returned.
 */
export function serverOptions(credentials: Credentials): SecureContextOptions & {
  readonly requestCert: true;
  readonly rejectUnauthorized: false;
} {
  return { ...secureContextOptions(credentials), requestCert: true, rejectUnauthorized: false };
}

/**
 * Judges the client of a server made with {@link serverOptions}: chain, dates, kind and name. Fails closed: what
 * isn't proven is refused, a resumed session too, since nothing of it was verified now.
 * @throws GodwitError `GODWIT_TLS_…`
 */
export function authorizePeer(socket: TLSSocket, requirement: PeerRequirement): PeerIdentity {
  const peer = `${socket.remoteAddress ?? "a peer that left"}`;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw noCertificate(peer);
  const named = `${peer} (${certificate.subject?.replaceAll("\n", ", ") ?? "no subject"})`;
  if (!socket.authorized) throw tlsError(named, socket.authorizationError ?? "NOT_AUTHORIZED");
  if (socket.isSessionReused()) throw tlsError(named, "SESSION_REUSED");
  return judgeCertificate(certificate, requirement);
}
