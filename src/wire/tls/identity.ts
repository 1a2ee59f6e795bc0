import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { GodwitError } from "../../base/errors.ts";

const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const OPERATOR_SUBJECT = /(^|\n)OU=operator(\n|$)/;

/** What a peer's certificate may be used for. */
export type PeerKind = "host" | "operator";

/** Whom a certificate names. */
export interface PeerIdentity {
  /** The subject's common name; for display. */
  readonly commonName: string;
  readonly subject: string;
  /** DNS names and IP addresses the certificate is good for. */
  readonly names: readonly string[];
  readonly kind: PeerKind;
  /** SHA-256 of the certificate. */
  readonly fingerprint: string;
}

/** What is asked of a peer beyond a certificate of our authority. */
export interface PeerRequirement {
  /** `host`: it must be an agent's certificate; `any`: an operator's will do. */
  readonly kind: "host" | "any";
  /** A DNS name or IP address the certificate must be good for. */
  readonly name?: string | undefined;
}

/** Whom a certificate names, without judging it. */
export function peerIdentity(certificate: X509Certificate): PeerIdentity {
  const usages = certificate.keyUsage as readonly string[] | undefined;
  const operator =
    OPERATOR_SUBJECT.test(certificate.subject ?? "") ||
    (usages !== undefined && !usages.includes(SERVER_AUTH));
  return {
    commonName: /(?:^|\n)CN=(.*)/.exec(certificate.subject ?? "")?.[1] ?? "",
    subject: (certificate.subject ?? "").replaceAll("\n", ", "),
    names: alternativeNames(certificate.subjectAltName),
    kind: operator && !certificate.ca ? "operator" : "host",
    fingerprint: certificate.fingerprint256,
  };
}

/**
 * Judges a certificate whose chain and dates TLS has already verified.
 * @throws GodwitError `GODWIT_TLS_NOT_A_HOST`, `GODWIT_TLS_WRONG_HOST`
 */
export function judgeCertificate(certificate: X509Certificate, requirement: PeerRequirement): PeerIdentity {
  const identity = peerIdentity(certificate);
  if (requirement.kind === "host" && identity.kind !== "host") {
    throw new GodwitError(
      "GODWIT_TLS_NOT_A_HOST",
      `${identity.subject} is an operator's certificate: it can't stand for an agent`,
      { advice: "run the agent with a certificate from `godwit pki issue HOST`" },
    );
  }
  const name = requirement.name;
  if (name !== undefined && !isGoodFor(certificate, name)) {
    throw new GodwitError(
      "GODWIT_TLS_WRONG_HOST",
      `the peer's certificate isn't for ${name} but for ${identity.names.join(", ") || identity.subject}`,
      {
        advice: `use the name in the certificate, or issue one with \`godwit pki issue HOST --address ${name}\``,
      },
    );
  }
  return identity;
}

/** Only alternative names count: a common name is no address (RFC 9525). */
function isGoodFor(certificate: X509Certificate, name: string): boolean {
  if (isIP(name)) return certificate.checkIP(name) !== undefined;
  return certificate.checkHost(name, { subject: "never" }) !== undefined;
}

function alternativeNames(text: string | undefined): string[] {
  return (text ?? "")
    .split(", ")
    .map((entry) => entry.replace(/^(DNS|IP Address):/, ""))
    .filter((entry) => entry !== "");
}
