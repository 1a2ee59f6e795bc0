import type { Credentials } from "../../wire/index.ts";
import { createAuthority, type Issued, issueHost, issueOperator } from "../../wire/pki/index.ts";

const DAY_MS = 86_400_000;

/** Certificates for tests: two hosts and an operator of one authority, and others that must be refused. */
export interface TestCertificates {
  readonly alpha: Credentials;
  readonly beta: Credentials;
  readonly operator: Credentials;
  readonly expired: Credentials;
  /** Issued by another authority, but trusting ours. */
  readonly stranger: Credentials;
  /** Issued by our authority, but trusting another. */
  readonly mistrustful: Credentials;
}

/** Makes all of them, in memory. */
export async function makeCertificates(): Promise<TestCertificates> {
  const authority = await createAuthority("test-authority");
  const other = await createAuthority("other-authority");
  const addresses = ["127.0.0.1", "localhost"];
  const past = { notBefore: new Date(Date.now() - 2 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) };
  const operator = await issueOperator(authority, "operator");
  const with_ = (caPem: string, issued: Issued): Credentials => ({ caPem, ...issued });
  return {
    alpha: with_(authority.certPem, await issueHost(authority, "alpha", addresses)),
    beta: with_(authority.certPem, await issueHost(authority, "beta", addresses)),
    operator: with_(authority.certPem, operator),
    expired: with_(authority.certPem, await issueOperator(authority, "late", past)),
    stranger: with_(authority.certPem, await issueOperator(other, "stranger")),
    mistrustful: with_(other.certPem, operator),
  };
}
