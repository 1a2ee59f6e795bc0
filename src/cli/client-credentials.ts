import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { GodwitError } from "../base/errors.ts";
import { type Credentials, loadCredentialFiles, loadCredentials } from "../wire/index.ts";

/** The certificate that a person has, by the name that `godwit pki issue --operator` suggests. */
const OPERATOR = "operator";

/** Where an agent of this machine keeps its certificates when it isn't told otherwise. */
const DEFAULT_PKI = "/etc/godwit/pki";

/** The options that name a client's certificates. */
export interface CertificateOptions {
  readonly pki?: string;
  readonly as?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/**
 * The certificates that options and environment name: `--ca`, `--cert` and `--key`, or a folder and whose
 * certificate in it to use (`--as`; if absent, `operator`, then this host's).
 * @throws GodwitError `GODWIT_CREDENTIALS`, `GODWIT_USAGE`
 */
export async function loadClientCredentials(
  options: CertificateOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Credentials> {
  const { ca, cert, key } = options;
  if (ca !== undefined && cert !== undefined && key !== undefined) {
    return await loadCredentialFiles({ ca, cert, key });
  }
  if (ca !== undefined || cert !== undefined || key !== undefined) {
    throw new GodwitError("GODWIT_USAGE", "--ca, --cert and --key go together", {
      side: "local",
      advice: "give all three, or --pki FOLDER",
    });
  }
  const folder = options.pki ?? environment.GODWIT_PKI ?? DEFAULT_PKI;
  return await loadCredentials(folder, options.as ?? environment.GODWIT_AS ?? ownName(folder));
}

function ownName(folder: string): string {
  const host = hostname();
  const hasOperator = existsSync(join(folder, `${OPERATOR}.crt`));
  return !hasOperator && existsSync(join(folder, `${host}.crt`)) ? host : OPERATOR;
}
