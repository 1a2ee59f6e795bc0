import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { GodwitError } from "../../base/errors.ts";
import type { Recovered } from "../../migration/recover.ts";
import { type AgentParts, GodwitAgent } from "../agent.ts";
import { AgentClient } from "../client.ts";
import { resolveConfig } from "../config.ts";
import { makeCertificates, type TestCertificates } from "./certificates.ts";
import { FakeMigration } from "./fake-migration.ts";
import { FakeDriver, type FakeQemu } from "./fake-qemu.ts";

/** What cleans up after a test. */
export interface TestScope {
  after(clean: () => unknown): void;
}

/** A folder that goes with the test. */
export function temporaryFolder(scope: TestScope): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-agent-"));
  scope.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An agent with real TLS and a real API on loopback, without QEMU and without the migration. */
export interface FakeAgent {
  readonly agent: GodwitAgent<FakeQemu>;
  readonly url: string;
  readonly client: AgentClient;
  readonly certificates: TestCertificates;
  readonly driver: FakeDriver;
  /** The outgoing migrations so far, oldest first. */
  readonly migrations: FakeMigration[];
  readonly folder: string;
}

let shared: Promise<TestCertificates> | undefined;

/** Certificates are slow to make: all tests of a process share them. */
export function testCertificates(): Promise<TestCertificates> {
  shared ??= makeCertificates();
  return shared;
}

/** Starts an agent that goes with the test. */
export async function startFakeAgent(
  scope: TestScope,
  given: { folder?: string; driver?: FakeDriver; recovered?: Recovered[] } = {},
): Promise<FakeAgent> {
  const certificates = await testCertificates();
  const folder = given.folder ?? temporaryFolder(scope);
  const driver = given.driver ?? new FakeDriver();
  const migrations: FakeMigration[] = [];
  const paths = writeCredentials(folder, certificates);
  const config = resolveConfig({
    state: join(folder, "state"),
    name: "alpha",
    listen: "127.0.0.1",
    apiPort: 0,
    wirePort: 0,
    ...paths,
  });
  const parts: AgentParts<FakeQemu> = {
    driver,
    describe: (machine) => machine as never,
    handleOf: (qemu) => qemu.handle(),
    verdict: async (_folder, migrationId) => ({ type: "verdict", migrationId, verdict: "not-committed" }),
    outgoing: (request) => {
      const migration = new FakeMigration(request);
      migrations.push(migration);
      return migration;
    },
    incoming: () => {
      throw new GodwitError("GODWIT_INTERNAL", "nothing comes in here");
    },
    recover: async () => given.recovered ?? [],
    doctor: async () => ({
      host: "alpha",
      status: "warn",
      findings: [{ check: "KVM", status: "warn", message: "not there", advice: "switch it on" }],
    }),
  };
  const agent = await GodwitAgent.start(config, pino({ level: "silent" }), () => parts);
  scope.after(() => agent.close());
  const url = `https://127.0.0.1:${agent.apiPort}`;
  const client = new AgentClient({ url, credentials: certificates.operator });
  scope.after(() => client.close());
  return { agent, url, client, certificates, driver, migrations, folder };
}

function writeCredentials(folder: string, { alpha, operator }: TestCertificates) {
  const paths = {
    ca: join(folder, "ca.crt"),
    cert: join(folder, "alpha.crt"),
    key: join(folder, "alpha.key"),
  };
  writeFileSync(paths.ca, alpha.caPem);
  writeFileSync(paths.cert, alpha.certPem);
  writeFileSync(paths.key, alpha.keyPem);
  writeFileSync(join(folder, "operator.crt"), operator.certPem);
  writeFileSync(join(folder, "operator.key"), operator.keyPem);
  return paths;
}

/** A machine file that every driver takes. */
export function machineFile(name: string): string {
  return `name: ${name}\nmemory: 17000KiB\n`;
}
