import { type ErrorCode, GodwitError } from "../../base/errors.ts";

interface Explanation {
  readonly code: ErrorCode;
  readonly text: string;
  readonly advice: string;
}

const UNKNOWN_AUTHORITY: Explanation = {
  code: "GODWIT_TLS_UNKNOWN_AUTHORITY",
  text: "its certificate is from an authority that isn't ours",
  advice: "issue both hosts' certificates with the same authority and give both its ca.crt",
};
const EXPIRED: Explanation = {
  code: "GODWIT_TLS_EXPIRED",
  text: "its certificate has expired",
  advice: "issue a new one with `godwit pki issue HOST --force`, and check both hosts' clocks",
};
const NOT_YET_VALID: Explanation = {
  code: "GODWIT_TLS_NOT_YET_VALID",
  text: "its certificate isn't valid yet",
  advice: "check both hosts' clocks",
};
const NO_CERTIFICATE: Explanation = {
  code: "GODWIT_TLS_NO_CERTIFICATE",
  text: "no certificate was shown",
  advice: "both sides need one: `godwit pki issue HOST`",
};
const WRONG_PURPOSE: Explanation = {
  code: "GODWIT_TLS_NOT_A_HOST",
  text: "its certificate isn't made for this use",
  advice: "run the agent with a certificate from `godwit pki issue HOST`: an operator's is no host's",
};
const HANDSHAKE: Explanation = {
  code: "GODWIT_TLS_HANDSHAKE",
  text: "no TLS 1.3 connection came about",
  advice: "check that a Godwit agent answers at this address, and its log",
};

const EXPLANATIONS: ReadonlyMap<string, Explanation> = new Map([
  ["SELF_SIGNED_CERT_IN_CHAIN", UNKNOWN_AUTHORITY],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", UNKNOWN_AUTHORITY],
  ["UNABLE_TO_GET_ISSUER_CERT", UNKNOWN_AUTHORITY],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", UNKNOWN_AUTHORITY],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", UNKNOWN_AUTHORITY],
  ["CERT_SIGNATURE_FAILURE", UNKNOWN_AUTHORITY],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", UNKNOWN_AUTHORITY],
  ["CERT_HAS_EXPIRED", EXPIRED],
  ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", EXPIRED],
  ["CERT_NOT_YET_VALID", NOT_YET_VALID],
  ["INVALID_PURPOSE", WRONG_PURPOSE],
  ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", NO_CERTIFICATE],
]);

const CONNECT_ERRORS: ReadonlyMap<string, Explanation> = new Map([
  [
    "ECONNREFUSED",
    {
      code: "GODWIT_CONNECT_REFUSED",
      text: "nothing listens there",
      advice: "start the agent on that host, or check the port",
    },
  ],
  ...["EHOSTUNREACH", "ENETUNREACH", "EADDRNOTAVAIL"].map((code): [string, Explanation] => [
    code,
    {
      code: "GODWIT_CONNECT_UNREACHABLE",
      text: `the network knows no way there (${code})`,
      advice: "check the address, the route and the firewall",
    },
  ]),
  [
    "ETIMEDOUT",
    {
      code: "GODWIT_CONNECT_TIMEOUT",
      text: "it didn't answer in time",
      advice: "check the address and the firewall",
    },
  ],
  ...["ENOTFOUND", "EAI_AGAIN"].map((code): [string, Explanation] => [
    code,
    {
      code: "GODWIT_CONNECT_UNKNOWN_HOST",
      text: `its name can't be resolved (${code})`,
      advice: "give an address, or make the name known (DNS, /etc/hosts)",
    },
  ]),
]);

/** The typed form of whatever Node or OpenSSL reported about a peer. `peer` is how the peer is called in the text. */
export function tlsError(peer: string, thrown: unknown): GodwitError {
  if (thrown instanceof GodwitError) return thrown;
  const code = codeOf(thrown);
  const connect = CONNECT_ERRORS.get(code);
  if (connect !== undefined) {
    return new GodwitError(connect.code, `can't connect to ${peer}: ${connect.text}`, {
      advice: connect.advice,
      cause: thrown,
    });
  }
  const explanation = EXPLANATIONS.get(code) ?? HANDSHAKE;
  return new GodwitError(explanation.code, `${peer} is refused: ${explanation.text} (${code})`, {
    advice: explanation.advice,
    cause: thrown,
  });
}

/** The error of a peer that showed no certificate at all. */
export function noCertificate(peer: string): GodwitError {
  return new GodwitError(NO_CERTIFICATE.code, `${peer} is refused: ${NO_CERTIFICATE.text}`, {
    advice: NO_CERTIFICATE.advice,
  });
}

function codeOf(thrown: unknown): string {
  if (typeof thrown === "string") return thrown;
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return codeOf(thrown.errors[0]);
  if (thrown instanceof Error) return (thrown as NodeJS.ErrnoException).code ?? thrown.message;
  return String(thrown);
}
