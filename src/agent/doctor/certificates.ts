import { X509Certificate } from "node:crypto";
import { asGodwitError } from "../../base/errors.ts";
import { loadCredentialFiles } from "../../wire/index.ts";
import type { Finding } from "../schemas.ts";
import { type Check, finding } from "./check.ts";

/** Time enough to issue new ones without haste. */
const SOON_MS = 30 * 86_400_000;

/** Whether the certificates are there, fit together and are good for a while. */
export const certificatesCheck: Check = {
  name: "certificates",
  async run({ certificates }) {
    if (certificates === null) {
      const advice = "make them with `godwit pki init` and `godwit pki issue HOST`, then give --pki FOLDER";
      return [finding("certificates", "warn", "none named, so none looked at", advice)];
    }
    try {
      const { caPem, certPem } = await loadCredentialFiles(certificates);
      const authority = new X509Certificate(caPem);
      const own = new X509Certificate(certPem);
      const findings = [judge("authority's certificate", authority), judge("our certificate", own)];
      if (!own.checkIssued(authority) || !own.verify(authority.publicKey)) {
        const advice = "issue it with the authority whose ca.crt the other hosts have too";
        findings.push(finding("certificates", "fail", "our certificate is not the authority's work", advice));
      }
      return findings;
    } catch (thrown) {
      const error = asGodwitError(thrown, "GODWIT_CREDENTIALS");
      return [finding("certificates", "fail", error.message, error.advice)];
    }
  },
};

function judge(what: string, certificate: X509Certificate): Finding {
  const now = Date.now();
  const from = certificate.validFromDate.getTime();
  const to = certificate.validToDate.getTime();
  const until = certificate.validToDate.toISOString().slice(0, 10);
  const renew = "issue a new one: `godwit pki issue HOST --force`";
  if (now < from) {
    return finding(
      what,
      "fail",
      `not valid before ${certificate.validFromDate.toISOString()}`,
      "check the clock",
    );
  }
  if (now > to)
    return finding(what, "fail", `expired on ${until}`, `${renew}; if it should not have, check the clock`);
  if (now > to - SOON_MS) return finding(what, "warn", `expires on ${until}`, renew);
  return finding(what, "ok", `good until ${until}`);
}
