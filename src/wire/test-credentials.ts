import type { Credentials } from "./credentials.ts";
import { createAuthority, type Issued, issueHost, issueOperator, type Validity } from "./pki/index.ts";

/** An authority with ways to issue credentials from it; for tests and benchmarks only. */
export interface TestAuthority {
  readonly issued: Issued;
  host(name: string, addresses?: readonly string[], validity?: Validity): Promise<Credentials>;
  operator(name: string): Promise<Credentials>;
}

/** A new authority that nobody else knows. Hosts are good for 127.0.0.1 unless addresses are given. */
export async function testAuthority(
  name = "test-authority",
  validity: Validity = {},
): Promise<TestAuthority> {
  const issued = await createAuthority(name, validity);
  const credentials = ({ certPem, keyPem }: Issued): Credentials => ({
    caPem: issued.certPem,
    certPem,
    keyPem,
  });
  return {
    issued,
    host: async (host, addresses = ["127.0.0.1"], period = {}) =>
      credentials(await issueHost(issued, host, addresses, period)),
    operator: async (person) => credentials(await issueOperator(issued, person)),
  };
}
