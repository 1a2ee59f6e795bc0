import "reflect-metadata";
import { KeyObject, randomBytes, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";
import { GodwitError } from "../../base/errors.ts";

x509.cryptoProvider.set(globalThis.crypto);

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;

/** Ten years: the authority is replaced by people, on every host at once, so it must not end by surprise. */
const AUTHORITY_DAYS = 3_650;

/** Two years and a bit, as public authorities used to give: renewal is one command, a lost key not for ever good. */
const CERTIFICATE_DAYS = 825;

/** Certificates are good from an hour ago, so that hosts whose clocks differ a little accept them. */
const CLOCK_SKEW_MS = 3_600_000;

/** The organisational unit that marks an operator's certificate. */
const OPERATOR_UNIT = "operator";

/** A certificate and its private key, both PEM. */
export interface Issued {
  readonly certPem: string;
  readonly keyPem: string;
}

/** From when to when a certificate is good; the defaults suit production, tests choose others. */
export interface Validity {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

/**
 * A new authority: a self-signed ECDSA P-256 certificate that may sign certificates and nothing else.
 * @throws GodwitError `GODWIT_PKI_NAME`
 */
export async function createAuthority(name: string, validity: Validity = {}): Promise<Issued> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [checkAuthorityName(name)] }, { O: ["Godwit"] }],
    keys,
    signingAlgorithm: ALGORITHM,
    ...period(validity, AUTHORITY_DAYS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certPem: certificate.toString("pem"), keyPem: exportKey(keys.privateKey) };
}

/**
 * A certificate for an agent: good as TLS server and client, for the host's name and the given addresses.
 * @param addresses IP addresses and further DNS names under which other agents reach this host
 * @throws GodwitError `GODWIT_PKI_NAME`, `GODWIT_PKI_AUTHORITY`
 */
export function issueHost(
  authority: Issued,
  name: string,
  addresses: readonly string[] = [],
  validity: Validity = {},
): Promise<Issued> {
  const names = [checkName(name), ...addresses].map((address): x509.JsonGeneralName => {
    return isIP(address) ? { type: "ip", value: address } : { type: "dns", value: checkName(address) };
  });
  return issue(authority, [{ CN: [name] }, { O: ["Godwit"] }], validity, [
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
    new x509.SubjectAlternativeNameExtension(names),
  ]);
}

/**
 * A certificate for a person or a program that uses agents' APIs: a TLS client only, marked `OU=operator`, never
 * accepted as an agent.
 * @throws GodwitError `GODWIT_PKI_NAME`, `GODWIT_PKI_AUTHORITY`
 */
export function issueOperator(authority: Issued, name: string, validity: Validity = {}): Promise<Issued> {
  return issue(authority, [{ CN: [checkName(name)] }, { O: ["Godwit"] }, { OU: [OPERATOR_UNIT] }], validity, [
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
  ]);
}

async function issue(
  authority: Issued,
  subject: x509.JsonName,
  validity: Validity,
  extensions: x509.Extension[],
): Promise<Issued> {
  const signer = await importAuthority(authority);
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: signer.certificate.subject,
    publicKey: keys.publicKey,
    signingKey: signer.key,
    signingAlgorithm: ALGORITHM,
    ...period(validity, CERTIFICATE_DAYS),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      ...extensions,
      await x509.AuthorityKeyIdentifierExtension.create(signer.certificate.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certPem: certificate.toString("pem"), keyPem: exportKey(keys.privateKey) };
}

async function importAuthority(
  authority: Issued,
): Promise<{ certificate: x509.X509Certificate; key: webcrypto.CryptoKey }> {
  try {
    const der = x509.PemConverter.decodeFirst(authority.keyPem);
    return {
      certificate: new x509.X509Certificate(authority.certPem),
      key: await webcrypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"]),
    };
  } catch (thrown) {
    throw new GodwitError("GODWIT_PKI_AUTHORITY", "the authority's certificate or key can't be used", {
      advice: "use the ca.crt and ca.key that `godwit pki init` wrote",
      cause: thrown,
    });
  }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function exportKey(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: "pkcs8", format: "pem" }).toString();
}

function period(validity: Validity, days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return {
    notBefore: validity.notBefore ?? new Date(now - CLOCK_SKEW_MS),
    notAfter: validity.notAfter ?? new Date(now + days * DAY_MS),
  };
}

/** 16 random bytes, positive as RFC 5280 wants it. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes.readUInt8(0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

function checkAuthorityName(name: string): string {
  if (/^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?$/.test(name)) return name;
  throw new GodwitError("GODWIT_PKI_NAME", `"${name}" can't be an authority's name`, {
    advice: "use letters, digits, blanks, dots and hyphens, at most 64",
  });
}

function checkName(name: string): string {
  if (/^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/.test(name)) return name;
  throw new GodwitError("GODWIT_PKI_NAME", `"${name}" can't be a name in a certificate`, {
    advice: "use letters, digits, dots and hyphens, at most 64",
  });
}
