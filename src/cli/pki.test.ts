import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { type TestContext, test } from "node:test";
import { Command } from "commander";
import { pkiCommand } from "./pki.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `godwit pki …` with a folder of its own; gives what it printed. */
async function commandLine(
  context: TestContext,
): Promise<{ folder: string; run(...words: string[]): Promise<string> }> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-pki-"));
  context.after(() => rm(folder, { recursive: true }));
  return {
    folder,
    async run(...words) {
      const stdout = new PassThrough();
      const terminal: Terminal = {
        stdout,
        stderr: new PassThrough(),
        interactive: false,
        environment: { GODWIT_PKI: folder },
        onInterrupt: () => () => {},
      };
      const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
      pkiCommand(program, terminal);
      await program.parseAsync(["pki", ...words], { from: "user" });
      return String(stdout.read() ?? "");
    },
  };
}

test("an authority, a host and an operator are made and shown", async (context) => {
  const { folder, run } = await commandLine(context);
  assert.match(await run("init"), /kind +authority[\s\S]*ca\.key \(secret\)/);
  const host = await run("issue", "alpha", "--address", "10.0.0.1", "alpha.example");
  assert.match(host, /good for +alpha, 10\.0\.0\.1, alpha\.example/);
  const operator = JSON.parse(await run("issue", "--operator", "eve", "--json"));
  assert.equal(operator.kind, "operator");
  assert.equal(operator.certPath, join(folder, "eve.crt"));
  const shown = JSON.parse(await run("show", join(folder, "alpha.crt"), "--json"));
  assert.deepEqual(shown.names, ["alpha", "10.0.0.1", "alpha.example"]);
  assert.deepEqual((await readdir(folder)).sort(), [
    "alpha.crt",
    "alpha.key",
    "ca.crt",
    "ca.key",
    "eve.crt",
    "eve.key",
  ]);
});

test("files that exist stay, unless it is forced", async (context) => {
  const { run } = await commandLine(context);
  await run("init");
  await assert.rejects(run("init"), { code: "GODWIT_PKI_EXISTS" });
  await run("init", "--force");
});

test("what makes no sense is refused", async (context) => {
  const { folder, run } = await commandLine(context);
  await assert.rejects(run("issue", "alpha"), { code: "GODWIT_PKI_AUTHORITY" });
  await run("init");
  await assert.rejects(run("issue"), { code: "GODWIT_USAGE" });
  await assert.rejects(run("issue", "alpha", "--operator", "eve"), { code: "GODWIT_USAGE" });
  await assert.rejects(run("issue", "--operator", "eve", "--address", "10.0.0.1"), { code: "GODWIT_USAGE" });
  await assert.rejects(run("show", join(folder, "none.crt")), { code: "GODWIT_CREDENTIALS" });
  await assert.rejects(run("show", join(folder, "ca.key")), { code: "GODWIT_CREDENTIALS" });
});
