import assert from "node:assert/strict";
import { test } from "node:test";
import { Agent, request } from "undici";
import { AgentClient } from "../client.ts";
import { machineFile, startFakeAgent, testCertificates } from "../testing/fake-agent.ts";

const destination = { host: "127.0.0.1", port: 9, name: "beta" };

async function bare(url: string, path: string, connect: object, options: object = {}) {
  const dispatcher = new Agent({ connect: { ...connect, maxCachedSessions: 0 } });
  try {
    const { statusCode, headers, body } = await request(new URL(path, url), { dispatcher, ...options });
    const text = await body.text();
    return { statusCode, headers, text, body: safeJson(text) };
  } finally {
    await dispatcher.destroy();
  }
}

function safeJson(text: string): { code?: string; message?: string; advice?: string } {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

test("who shows no certificate is refused with the reason", async (context) => {
  const { url, certificates } = await startFakeAgent(context);
  for (const path of ["/v1/host", "/openapi.json", "/nothing"]) {
    const answer = await bare(url, path, { ca: certificates.alpha.caPem });
    assert.equal(answer.statusCode, 403);
    assert.equal(answer.body.code, "GODWIT_TLS_NO_CERTIFICATE");
  }
});

test("a certificate of another authority and an expired one are refused with the reason", async (context) => {
  const { url, certificates } = await startFakeAgent(context);
  const codes = { stranger: "GODWIT_TLS_UNKNOWN_AUTHORITY", expired: "GODWIT_TLS_EXPIRED" } as const;
  for (const [who, code] of Object.entries(codes)) {
    const client = new AgentClient({ url, credentials: certificates[who as keyof typeof codes] });
    context.after(() => client.close());
    await assert.rejects(client.host(), { code });
    await assert.rejects(client.startMachine(machineFile("a")), { code });
  }
});

test("operators and hosts of our authority are let in, on every new connection", async (context) => {
  const { url, certificates } = await startFakeAgent(context);
  for (const credentials of [certificates.operator, certificates.beta, certificates.operator]) {
    const client = new AgentClient({ url, credentials });
    context.after(() => client.close());
    assert.equal((await client.host()).name, "alpha");
  }
});

test("a client does not talk to an agent that it can't trust", async (context) => {
  const { url, certificates } = await startFakeAgent(context);
  const mistrustful = new AgentClient({ url, credentials: certificates.mistrustful });
  const namesOther = new AgentClient({ url, credentials: certificates.operator, serverName: "gamma" });
  context.after(() => Promise.all([mistrustful.close(), namesOther.close()]));
  await assert.rejects(mistrustful.host(), { code: "GODWIT_AGENT_NOT_TRUSTED" });
  await assert.rejects(namesOther.host(), { code: "GODWIT_AGENT_NOT_TRUSTED" });
});

test("an agent that is not there is told apart", async (context) => {
  const { operator } = await testCertificates();
  const client = new AgentClient({ url: "https://127.0.0.1:9", credentials: operator });
  context.after(() => client.close());
  await assert.rejects(client.host(), { code: "GODWIT_AGENT_UNREACHABLE" });
});

test("every error has one shape and a fitting status", async (context) => {
  const { url, certificates } = await startFakeAgent(context);
  const { caPem: ca, certPem: cert, keyPem: key } = certificates.operator;
  const ask = (path: string, options: object = {}) => bare(url, path, { ca, cert, key }, options);
  const post = (path: string, body: string, type = "application/json") =>
    ask(path, { method: "POST", body, headers: { "content-type": type } });
  const answers = [
    [await ask("/v1/nothing"), 404, "GODWIT_API_UNKNOWN"],
    [await ask("/v1/machines/none"), 404, "GODWIT_VM_UNKNOWN"],
    [await ask("/v1/machines/.."), 404, "GODWIT_API_UNKNOWN"],
    [await ask("/v1/machines/%2e%2e%2fetc"), 400, "GODWIT_BAD_REQUEST"],
    [await ask("/v1/migrations/none/report"), 404, "GODWIT_MIGRATION_UNKNOWN"],
    [await post("/v1/machines", "name: [", "application/yaml"), 400, "GODWIT_MACHINE_FILE"],
    [await post("/v1/machines", "{", "application/json"), 400, "GODWIT_BAD_REQUEST"],
    [await post("/v1/machines", "x".repeat(300_000), "text/yaml"), 413, "GODWIT_REQUEST_TOO_LARGE"],
    [await post("/v1/machines", "<vm/>", "application/xml"), 415, "GODWIT_MEDIA_TYPE"],
    [await post("/v1/migrations", `{"machine":"../x","destination":{}}`), 400, "GODWIT_BAD_REQUEST"],
  ] as const;
  for (const [answer, status, code] of answers) {
    assert.equal(answer.body.code, code, answer.text);
    assert.equal(answer.statusCode, status);
    assert.equal(typeof answer.body.message, "string");
    assert.match(String(answer.headers["content-type"]), /^application\/json/);
  }
  const migration = answers.at(-1)![0].body.message ?? "";
  assert.match(migration, /machine: not a VM's name/);
  assert.match(migration, /destination\.host/);
});

test("a VM is started from YAML and from JSON, shown, stopped and forgotten", async (context) => {
  const { client, url, certificates } = await startFakeAgent(context);
  const started = await client.startMachine(machineFile("web"));
  assert.equal(started.state, "running");
  const { caPem: ca, certPem: cert, keyPem: key } = certificates.operator;
  const json = await bare(
    url,
    "/v1/machines",
    { ca, cert, key },
    {
      method: "POST",
      body: JSON.stringify({ name: "db", memory: "17000KiB" }),
      headers: { "content-type": "application/json" },
    },
  );
  assert.equal(json.statusCode, 201, json.text);
  assert.deepEqual(
    (await client.listMachines()).map(({ name, state }) => [name, state]),
    [
      ["db", "running"],
      ["web", "running"],
    ],
  );
  await assert.rejects(client.startMachine(machineFile("web")), {
    code: "GODWIT_VM_STATE",
    vmState: "running",
  });
  await assert.rejects(client.deleteMachine("web"), { code: "GODWIT_VM_STATE" });
  assert.equal((await client.stopMachine("web")).state, "stopped");
  assert.equal((await client.machine("web")).state, "stopped");
  await client.deleteMachine("web");
  await assert.rejects(client.machine("web"), { code: "GODWIT_VM_UNKNOWN" });
  assert.equal((await client.host()).machines, 1);
});

test("a migration is followed from its first event to its report, and its VM is settled by then", async (context) => {
  const { client, migrations } = await startFakeAgent(context);
  await client.startMachine(machineFile("web"));
  const { id, active } = await client.migrate({ machine: "web", destination });
  assert.equal(active, true);
  assert.equal((await client.machine("web")).state, "migrating-out");
  assert.equal((await client.machine("web")).migrationId, id);
  await assert.rejects(client.migrate({ machine: "web", destination }), { code: "GODWIT_VM_BUSY" });
  await assert.rejects(client.stopMachine("web"), { code: "GODWIT_VM_BUSY" });
  await assert.rejects(client.report(id), { code: "GODWIT_MIGRATION_ACTIVE" });

  const seen: string[] = [];
  for await (const event of client.events(id)) {
    seen.push(event.type);
    if (event.type === "phase" && event.phase === "preflight") migrations[0]!.progress(500);
    if (event.type === "progress") migrations[0]!.finish("completed");
    if (event.type === "report") {
      assert.equal((await client.machine("web")).state, "departed");
      assert.equal((await client.migration(id)).active, false);
    }
  }
  assert.deepEqual(seen, ["phase", "progress", "phase", "report"]);
  assert.equal((await client.report(id)).outcome, "completed");
  assert.equal((await client.machine("web")).movedTo, "127.0.0.1:9");
  await assert.rejects(client.startMachine(machineFile("web")), {
    code: "GODWIT_VM_STATE",
    vmState: "departed",
  });
  await assert.rejects(client.cancel(id), { code: "GODWIT_MIGRATION_OVER" });
});

test("an event stream is replayed whole, and only what is new after Last-Event-ID", async (context) => {
  const { client, migrations, url, certificates } = await startFakeAgent(context);
  await client.startMachine(machineFile("web"));
  const { id } = await client.migrate({ machine: "web", destination });
  migrations[0]!.progress(900);
  migrations[0]!.progress(100);
  migrations[0]!.finish("failed");
  const whole = [];
  for await (const event of client.events(id)) whole.push(event);
  const rest = [];
  for await (const event of client.events(id, { after: 1 })) rest.push(event);
  assert.equal(whole.length, 5);
  assert.deepEqual(rest, whole.slice(2));

  const { caPem: ca, certPem: cert, keyPem: key } = certificates.operator;
  const raw = await bare(url, `/v1/migrations/${id}/events`, { ca, cert, key });
  assert.match(String(raw.headers["content-type"]), /^text\/event-stream/);
  assert.deepEqual(
    [...raw.text.matchAll(/^id: (\d+)$/gm)].map(([, number]) => Number(number)),
    [0, 1, 2, 3, 4],
  );
  assert.deepEqual(
    [...raw.text.matchAll(/^event: (.+)$/gm)].map(([, type]) => type),
    ["phase", "progress", "progress", "phase", "report"],
  );
});

test("a reader who goes away leaves nothing behind, and the migration goes on", async (context) => {
  const { client, migrations } = await startFakeAgent(context);
  await client.startMachine(machineFile("web"));
  const { id } = await client.migrate({ machine: "web", destination });
  for (let round = 0; round < 66; round += 1) {
    const abort = new AbortController();
    for await (const event of client.events(id, { signal: abort.signal })) {
      assert.equal(event.type, "phase");
      abort.abort();
    }
  }
  migrations[0]!.finish("failed");
  assert.equal((await collect(client.events(id))).at(-1)?.type, "report");
});

test("an agent that ends cancels its migrations and tells those who watch", async (context) => {
  const { agent, client, driver } = await startFakeAgent(context);
  await client.startMachine(machineFile("web"));
  const { id } = await client.migrate({ machine: "web", destination });
  const events = client.events(id);
  await events.next();
  const watching = collect(events);
  await agent.close();
  const last = (await watching).at(-1);
  assert.equal(last?.type === "report" ? last.report.outcome : null, "cancelled");
  assert.equal(driver.of("web").exit, null);
  await assert.rejects(client.host(), { code: "GODWIT_AGENT_UNREACHABLE" });
});

test("a cancelled migration leaves the VM where it was; a late one says so", async (context) => {
  const { client, migrations } = await startFakeAgent(context);
  await client.startMachine(machineFile("web"));
  const first = await client.migrate({ machine: "web", destination });
  assert.deepEqual(await client.cancel(first.id), { result: "cancelled" });
  await collect(client.events(first.id));
  assert.equal((await client.machine("web")).state, "running");

  const second = await client.migrate({ machine: "web", destination });
  migrations[1]!.cancelAnswer = "too-late";
  assert.deepEqual(await client.cancel(second.id), { result: "too-late" });
  migrations[1]!.finish("in-doubt");
  await collect(client.events(second.id));
  assert.equal((await client.machine("web")).state, "in-doubt");
  await assert.rejects(client.migrate({ machine: "web", destination }), { code: "GODWIT_VM_BUSY" });
  assert.deepEqual(
    (await client.listMigrations()).map(({ outcome }) => outcome),
    ["in-doubt", "cancelled"],
  );
});

test("a VM in doubt is settled by an operator's word, any other takes none", async (context) => {
  const { client, migrations } = await startFakeAgent(context);
  await client.startMachine(machineFile("web"));
  const states = { here: "running", there: "departed" } as const;
  for (const [at, owner] of (["here", "there"] as const).entries()) {
    const { id } = await client.migrate({ machine: "web", destination });
    await assert.rejects(client.resolve(id, owner), { code: "GODWIT_NOT_IN_DOUBT" });
    migrations[at]!.cancelAnswer = "too-late";
    await client.resolve(id, owner);
    assert.equal((await client.machine("web")).state, states[owner]);
    await assert.rejects(client.resolve(id, owner), { code: "GODWIT_NOT_IN_DOUBT" });
  }
});

test("the OpenAPI document is whole: every route, every reference, no name twice", async (context) => {
  const { client } = await startFakeAgent(context);
  const document = (await client.openApi()) as {
    openapi: string;
    info: { title: string; version: string };
    paths: Record<string, Record<string, { operationId?: string; responses?: Record<string, unknown> }>>;
    components: { schemas: Record<string, unknown> };
  };
  assert.match(document.openapi, /^3\.1\./);
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  const names = operations.map(({ operationId }) => operationId);
  assert.ok(names.every((name) => name !== undefined));
  assert.equal(new Set(names).size, names.length);
  assert.ok(operations.every(({ responses }) => responses !== undefined && "4XX" in responses));
  assert.deepEqual(Object.keys(document.paths).sort(), [
    "/v1/doctor",
    "/v1/host",
    "/v1/machines",
    "/v1/machines/{name}",
    "/v1/machines/{name}/devices",
    "/v1/machines/{name}/stop",
    "/v1/migrations",
    "/v1/migrations/{id}",
    "/v1/migrations/{id}/cancel",
    "/v1/migrations/{id}/events",
    "/v1/migrations/{id}/report",
    "/v1/migrations/{id}/resolve",
  ]);
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
  assert.ok(references.length > 10);
  for (const [, name] of references) assert.ok(name! in document.components.schemas, name);
});

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
