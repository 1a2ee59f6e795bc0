import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { resolveConfig } from "./config.ts";
import { temporaryFolder } from "./testing/fake-agent.ts";

test("an agent that is told nothing has every default", () => {
  const config = resolveConfig({ name: "alpha", state: "/s" });
  assert.deepEqual(config, {
    stateFolder: "/s",
    name: "alpha",
    listen: "0.0.0.0",
    apiPort: 7480,
    wirePort: 7481,
    bulkPorts: { from: 7482, to: 7499 },
    certificates: {
      ca: "/etc/godwit/pki/ca.crt",
      cert: "/etc/godwit/pki/alpha.crt",
      key: "/etc/godwit/pki/alpha.key",
    },
    qemu: undefined,
    logLevel: "info",
  });
});

test("what is given wins over the file, and the file over the defaults", (context) => {
  const file = join(temporaryFolder(context), "agent.yaml");
  writeFileSync(file, "name: filed\napiPort: 1000\nbulkPorts: 2000-2010\npki: /certificates\n");
  const config = resolveConfig({ apiPort: 3000, name: undefined }, file);
  assert.equal(config.name, "filed");
  assert.equal(config.apiPort, 3000);
  assert.deepEqual(config.bulkPorts, { from: 2000, to: 2010 });
  assert.equal(config.certificates.cert, "/certificates/filed.crt");
  writeFileSync(file, "");
  assert.equal(resolveConfig({}, file).apiPort, 7480);
});

test("nonsense is refused with the key that it stands at", (context) => {
  const file = join(temporaryFolder(context), "agent.yaml");
  const wrong: [string, RegExp][] = [
    ["apiPort: lots", /apiPort/],
    ["wirePort: 70000", /wirePort/],
    ["bulkPorts: 9-3", /bulkPorts: not a range/],
    ["bulkPorts: some", /bulkPorts: write a range/],
    ["apiPrt: 7", /apiPrt/],
    ["name: ../up", /name: not a host name/],
    ["- a\n- b", /not a list of keys/],
    ["a: [", /agent\.yaml/],
    ["ca: /only.crt", /ca, cert and key go together/],
  ];
  for (const [text, message] of wrong) {
    writeFileSync(file, text);
    assert.throws(() => resolveConfig({}, file), { code: "GODWIT_CONFIG", message });
  }
  assert.throws(() => resolveConfig({}, "/nowhere/agent.yaml"), { code: "GODWIT_CONFIG" });
});
