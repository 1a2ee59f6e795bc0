import { access, chmod, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { GodwitError } from "../../base/errors.ts";
import { createAuthority, type Issued, issueHost, issueOperator } from "./authority.ts";

/** What was written. */
export interface WrittenFiles {
  readonly certPath: string;
  readonly keyPath: string;
}

/** Whether existing files may be replaced; they never are by default. */
export interface WriteOptions {
  readonly force?: boolean;
}

/**
 * Creates an authority in a folder: `ca.crt` and `ca.key`.
 * @throws GodwitError `GODWIT_PKI_EXISTS` when there is one and `force` isn't set
 */
export async function initAuthority(
  folder: string,
  name = "Godwit authority",
  options: WriteOptions = {},
): Promise<WrittenFiles> {
  const files = { certPath: join(folder, "ca.crt"), keyPath: join(folder, "ca.key") };
  await refuseExisting(files, options);
  return write(folder, files, await createAuthority(name));
}

/**
 * Issues a host's certificate with the folder's authority: `HOST.crt`, `HOST.key`.
 * @throws GodwitError `GODWIT_PKI_EXISTS`, `GODWIT_PKI_NAME`, `GODWIT_PKI_AUTHORITY`
 */
export async function issueHostFiles(
  folder: string,
  name: string,
  addresses: readonly string[] = [],
  options: WriteOptions = {},
): Promise<WrittenFiles> {
  const files = await filesFor(folder, name, options);
  return write(folder, files, await issueHost(await readAuthority(folder), name, addresses));
}

/**
 * Issues an operator's certificate with the folder's authority: `NAME.crt`, `NAME.key`.
 * @throws GodwitError `GODWIT_PKI_EXISTS`, `GODWIT_PKI_NAME`, `GODWIT_PKI_AUTHORITY`
 */
export async function issueOperatorFiles(
  folder: string,
  name: string,
  options: WriteOptions = {},
): Promise<WrittenFiles> {
  const files = await filesFor(folder, name, options);
  return write(folder, files, await issueOperator(await readAuthority(folder), name));
}

async function filesFor(folder: string, name: string, options: WriteOptions): Promise<WrittenFiles> {
  if (name === "ca" || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
    throw new GodwitError("GODWIT_PKI_NAME", `"${name}" can't be the name of a certificate`, {
      advice: 'use letters, digits, dots and hyphens; "ca" is the authority itself',
    });
  }
  const files = { certPath: join(folder, `${name}.crt`), keyPath: join(folder, `${name}.key`) };
  await refuseExisting(files, options);
  return files;
}

async function readAuthority(folder: string): Promise<Issued> {
  try {
    const [certPem, keyPem] = await Promise.all([
      readFile(join(folder, "ca.crt"), "utf8"),
      readFile(join(folder, "ca.key"), "utf8"),
    ]);
    return { certPem, keyPem };
  } catch (thrown) {
    throw new GodwitError("GODWIT_PKI_AUTHORITY", `there is no authority in ${folder}`, {
      advice: "create one with `godwit pki init`, or name the folder that holds ca.crt and ca.key",
      cause: thrown,
    });
  }
}

async function refuseExisting(files: WrittenFiles, options: WriteOptions): Promise<void> {
  if (options.force) return;
  for (const path of [files.certPath, files.keyPath]) {
    const exists = await access(path).then(
      () => true,
      () => false,
    );
    if (exists) {
      throw new GodwitError("GODWIT_PKI_EXISTS", `${path} exists already`, {
        advice:
          "choose another name or folder, or replace it with --force: what it was used for stops working",
      });
    }
  }
}

async function write(folder: string, files: WrittenFiles, issued: Issued): Promise<WrittenFiles> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  await writeFileAtomic(files.keyPath, issued.keyPem, { mode: 0o600 });
  await writeFileAtomic(files.certPath, `${issued.certPem}\n`, { mode: 0o644 });
  return files;
}
