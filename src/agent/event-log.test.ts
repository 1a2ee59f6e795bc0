import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EVENT_LOG_FILE } from "../migration/event-log.ts";
import { followLines, type LogLine } from "./event-log.ts";

function temporary(context: { after(clean: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-log-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, EVENT_LOG_FILE);
}

const never = new AbortController().signal;

async function collect(lines: AsyncIterable<LogLine>): Promise<string[]> {
  const texts: string[] = [];
  for await (const line of lines) texts.push(`${line.index}:${line.text}`);
  return texts;
}

test("a finished log is replayed to its last line", async (context) => {
  const path = temporary(context);
  writeFileSync(path, "a\nb\nend\nnever seen\n");
  const lines = followLines(path, {
    from: 0,
    isLast: (text) => text === "end",
    isOver: () => false,
    signal: never,
  });
  assert.deepEqual(await collect(lines), ["0:a", "1:b", "2:end"]);
});

test("a replay may begin in the middle, and a line beyond the end gives nothing", async (context) => {
  const path = temporary(context);
  writeFileSync(path, "a\nb\nend\n");
  const options = { isLast: (text: string) => text === "end", isOver: () => true, signal: never };
  assert.deepEqual(await collect(followLines(path, { from: 2, ...options })), ["2:end"]);
  assert.deepEqual(await collect(followLines(path, { from: 9, ...options })), []);
});

test("a log is followed while it grows, from before it exists, in any pieces", async (context) => {
  const path = temporary(context);
  const lines = followLines(path, {
    from: 0,
    isLast: (text) => text === "end",
    isOver: () => false,
    signal: never,
  });
  const first = lines.next();
  writeFileSync(path, "one\ntw");
  assert.deepEqual((await first).value, { index: 0, text: "one" });
  const second = lines.next();
  appendFileSync(path, "o\nen");
  assert.deepEqual((await second).value, { index: 1, text: "two" });
  const third = lines.next();
  appendFileSync(path, "d\n");
  assert.deepEqual((await third).value, { index: 2, text: "end" });
  assert.equal((await lines.next()).done, true);
});

test("a log whose writer died without a last line ends", async (context) => {
  const path = temporary(context);
  writeFileSync(path, "a\nhalf a li");
  const lines = followLines(path, { from: 0, isLast: () => false, isOver: () => true, signal: never });
  assert.deepEqual(await collect(lines), ["0:a"]);
});

test("an abort ends the wait", async (context) => {
  const path = temporary(context);
  writeFileSync(path, "a\n");
  const abort = new AbortController();
  const lines = followLines(path, {
    from: 0,
    isLast: () => false,
    isOver: () => false,
    signal: abort.signal,
  });
  await lines.next();
  const waiting = lines.next();
  abort.abort();
  assert.equal((await waiting).done, true);
});

test("a line without end is refused with bounded memory", async (context) => {
  const path = temporary(context);
  writeFileSync(path, "x".repeat(3 * 1024 * 1024));
  const lines = followLines(path, { from: 0, isLast: () => false, isOver: () => false, signal: never });
  await assert.rejects(collect(lines), { code: "GODWIT_EVENT_LOG" });
});
