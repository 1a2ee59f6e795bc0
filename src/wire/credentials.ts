import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { GodwitError } from "../base/errors.ts";

/** What a side proves itself with and judges its peers by; plain text, so that it can be sent to a worker thread. */
export interface Credentials {
  /** The authority that must have issued the peer's certificate; may hold several certificates. */
  readonly caPem: string;
  /** This side's certificate, followed by intermediate ones where there are any. */
  readonly certPem: string;
  readonly keyPem: string;
}

/**
 * Reads the credentials that `godwit pki` wrote: `ca.crt`, `NAME.crt`, `NAME.key` in a folder.
 * @throws GodwitError `GODWIT_CREDENTIALS`
 */
export function loadCredentials(folder: string, name: string): Promise<Credentials> {
  return loadCredentialFiles({
    ca: join(folder, "ca.crt"),
    cert: join(folder, `${name}.crt`),
    key: join(folder, `${name}.key`),
  });
}

/**
 * Reads credentials of any origin from PEM files and checks that they fit together.
 * @throws GodwitError `GODWIT_CREDENTIALS` naming the file and what is wrong with it
 */
export async function loadCredentialFiles(paths: {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}): Promise<Credentials> {
  const [caPem, certPem, keyPem] = await Promise.all([read(paths.ca), read(paths.cert), read(paths.key)]);
  parse(paths.ca, "certificate", () => new X509Certificate(caPem));
  const certificate = parse(paths.cert, "certificate", () => new X509Certificate(certPem));
  const key = parse(paths.key, "unencrypted private key", () => createPrivateKey(keyPem));
  if (!certificate.checkPrivateKey(key)) {
    throw new GodwitError("GODWIT_CREDENTIALS", `${paths.key} isn't the key of ${paths.cert}`, {
      advice: "give the certificate and the key that were issued together",
    });
  }
  return { caPem, certPem, keyPem };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    throw new GodwitError("GODWIT_CREDENTIALS", `can't read ${path}: ${code}`, {
      advice:
        "create it with `godwit pki init` and `godwit pki issue HOST`, or give the right folder and name",
      cause: thrown,
    });
  }
}

function parse<Value>(path: string, what: string, make: () => Value): Value {
  try {
    return make();
  } catch (thrown) {
    throw new GodwitError("GODWIT_CREDENTIALS", `${path} holds no ${what} in PEM form`, {
      advice: "give files as `godwit pki` or openssl write them with -----BEGIN lines",
      cause: thrown,
    });
  }
}
