import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Journal, type JournalHead } from "./journal.ts";

const head: JournalHead = {
  migrationId: "m1",
  role: "source",
  vm: "web",
  machineFolder: "/state/machines/web",
  peer: { name: "b", host: "127.0.0.1", port: 7481 },
  guestPaused: false,
};

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-journal-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "m1");
}

test("a journal is read back as it was written", (t) => {
  const folder = temporaryFolder(t);
  const journal = Journal.create(folder, head, "started");
  journal.append("committing", "everything is prepared");
  journal.close();
  const record = Journal.read(folder);
  assert.deepEqual(record.head, head);
  assert.deepEqual(
    record.entries.map((entry) => entry.state),
    ["started", "committing"],
  );
  assert.equal(record.state, "committing");
});

test("a journal goes on after a restart", (t) => {
  const folder = temporaryFolder(t);
  Journal.create(folder, head, "started").close();
  const journal = Journal.reopen(folder);
  assert.equal(journal.state, "started");
  journal.append("rolled-back");
  journal.close();
  assert.equal(Journal.read(folder).state, "rolled-back");
});

test("a last line torn by a crash counts as not written", (t) => {
  const folder = temporaryFolder(t);
  Journal.create(folder, head, "started").close();
  appendFileSync(join(folder, "journal.jsonl"), '{"at":"2026-01-01T00:00:00.000Z","state":"commit');
  assert.equal(Journal.read(folder).state, "started");
  const journal = Journal.reopen(folder);
  journal.append("rolled-back");
  journal.close();
  assert.equal(Journal.read(folder).state, "rolled-back");
});

test("a migration id is used once", (t) => {
  const folder = temporaryFolder(t);
  Journal.create(folder, head, "started").close();
  assert.throws(() => Journal.create(folder, head, "started"), { code: "GODWIT_JOURNAL_EXISTS" });
});

test("a journal that is not one is refused", (t) => {
  const folder = temporaryFolder(t);
  Journal.create(folder, head, "started").close();
  for (const content of [
    "",
    "nonsense\n",
    `${JSON.stringify(head)}\n`,
    `${JSON.stringify(head)}\n{"state":1}\n`,
  ]) {
    writeFileSync(join(folder, "journal.jsonl"), content);
    assert.throws(() => Journal.read(folder), { code: "GODWIT_JOURNAL_UNREADABLE" });
  }
});
