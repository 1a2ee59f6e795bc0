import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { loadCredentialFiles, loadCredentials } from "../credentials.ts";
import {
  createAuthority,
  describeCertificate,
  initAuthority,
  issueHost,
  issueHostFiles,
  issueOperatorFiles,
} from "./index.ts";

async function temporaryFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-pki-"));
  context.after(() => rm(folder, { recursive: true }));
  return folder;
}

test("an authority, a host and an operator are issued and say who they are", async (context) => {
  const folder = join(await temporaryFolder(context), "pki");
  await initAuthority(folder, "Lab authority");
  await issueHostFiles(folder, "alpha", ["10.0.0.1", "alpha.example", "fd00::1"]);
  await issueOperatorFiles(folder, "eve");
  const describe = async (name: string) =>
    describeCertificate(await readFile(join(folder, `${name}.crt`), "utf8"));

  const ca = await describe("ca");
  assert.equal(ca.isAuthority, true);
  assert.match(ca.subject, /CN=Lab authority/);
  const alpha = await describe("alpha");
  assert.deepEqual(alpha.names, ["alpha", "10.0.0.1", "alpha.example", "FD00:0:0:0:0:0:0:1"]);
  assert.equal(alpha.kind, "host");
  assert.equal(alpha.issuer, ca.subject);
  assert.ok(alpha.notBefore.getTime() < Date.now() && alpha.notAfter.getTime() > Date.now());
  const eve = await describe("eve");
  assert.equal(eve.kind, "operator");
  assert.deepEqual(eve.names, []);
});

test("keys are readable by their owner only, the folder too", async (context) => {
  const folder = await temporaryFolder(context);
  await chmod(folder, 0o755);
  const { keyPath, certPath } = await initAuthority(folder);
  const issued = await issueHostFiles(folder, "alpha");
  const mode = async (path: string) => (await stat(path)).mode & 0o777;
  assert.equal(await mode(folder), 0o700);
  assert.equal(await mode(keyPath), 0o600);
  assert.equal(await mode(issued.keyPath), 0o600);
  assert.equal(await mode(certPath), 0o644);
});

test("nothing is overwritten unless it is forced", async (context) => {
  const folder = await temporaryFolder(context);
  await initAuthority(folder);
  await issueHostFiles(folder, "alpha");
  const before = await readFile(join(folder, "alpha.key"), "utf8");
  await assert.rejects(initAuthority(folder), { code: "GODWIT_PKI_EXISTS" });
  await assert.rejects(issueHostFiles(folder, "alpha"), { code: "GODWIT_PKI_EXISTS" });
  await assert.rejects(issueOperatorFiles(folder, "alpha"), { code: "GODWIT_PKI_EXISTS" });
  assert.equal(await readFile(join(folder, "alpha.key"), "utf8"), before);
  await issueHostFiles(folder, "alpha", [], { force: true });
  assert.notEqual(await readFile(join(folder, "alpha.key"), "utf8"), before);
});

test("names that would leave the folder or clash with the authority are refused", async (context) => {
  const folder = await temporaryFolder(context);
  await initAuthority(folder);
  for (const name of ["../evil", "a/b", "", "ca", ".hidden", "a b", "x".repeat(65)]) {
    await assert.rejects(issueHostFiles(folder, name), { code: "GODWIT_PKI_NAME" }, name);
    await assert.rejects(issueOperatorFiles(folder, name), { code: "GODWIT_PKI_NAME" }, name);
  }
  await assert.rejects(issueHostFiles(folder, "alpha", ["not a name"]), { code: "GODWIT_PKI_NAME" });
});

test("without an authority nothing is issued", async (context) => {
  const folder = await temporaryFolder(context);
  await assert.rejects(issueHostFiles(folder, "alpha"), { code: "GODWIT_PKI_AUTHORITY" });
  await writeFile(join(folder, "ca.crt"), "nonsense");
  await writeFile(join(folder, "ca.key"), "nonsense");
  await assert.rejects(issueHostFiles(folder, "alpha"), { code: "GODWIT_PKI_AUTHORITY" });
});

test("issued certificates verify against their authority and no other", async () => {
  const authority = await createAuthority("one");
  const other = await createAuthority("one");
  const alpha = new X509Certificate((await issueHost(authority, "alpha")).certPem);
  assert.ok(alpha.verify(new X509Certificate(authority.certPem).publicKey));
  assert.ok(!alpha.verify(new X509Certificate(other.certPem).publicKey));
});

test("credentials are loaded, and what is wrong with them is said", async (context) => {
  const folder = await temporaryFolder(context);
  await initAuthority(folder);
  await issueHostFiles(folder, "alpha");
  await issueHostFiles(folder, "beta");
  const path = (name: string) => join(folder, name);
  const credentials = await loadCredentials(folder, "alpha");
  assert.match(credentials.keyPem, /PRIVATE KEY/);
  await assert.rejects(loadCredentials(folder, "gamma"), {
    code: "GODWIT_CREDENTIALS",
    message: /gamma\.\w+: ENOENT/,
  });
  const files = { ca: path("ca.crt"), cert: path("alpha.crt"), key: path("alpha.key") };
  await assert.rejects(loadCredentialFiles({ ...files, key: path("beta.key") }), {
    message: /isn't the key of/,
  });
  await assert.rejects(loadCredentialFiles({ ...files, key: path("beta.crt") }), { message: /private key/ });
  await assert.rejects(loadCredentialFiles({ ...files, cert: path("beta.key") }), {
    message: /no certificate/,
  });
  assert.throws(() => describeCertificate("nonsense"), { code: "GODWIT_CREDENTIALS" });
});
