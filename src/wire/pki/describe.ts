import { X509Certificate } from "node:crypto";
import { GodwitError } from "../../base/errors.ts";
import { type PeerIdentity, peerIdentity } from "../tls/identity.ts";

/** What a certificate says. */
export interface CertificateDescription extends PeerIdentity {
  readonly issuer: string;
  readonly isAuthority: boolean;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly serialNumber: string;
}

/**
 * What the first certificate of a PEM text says.
 * @throws GodwitError `GODWIT_CREDENTIALS`
 */
export function describeCertificate(pem: string): CertificateDescription {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (thrown) {
    throw new GodwitError("GODWIT_CREDENTIALS", "this is no certificate in PEM form", {
      advice: "give a .crt file",
      cause: thrown,
    });
  }
  return {
    ...peerIdentity(certificate),
    issuer: certificate.issuer.replaceAll("\n", ", "),
    isAuthority: certificate.ca,
    notBefore: certificate.validFromDate,
    notAfter: certificate.validToDate,
    serialNumber: certificate.serialNumber,
  };
}
