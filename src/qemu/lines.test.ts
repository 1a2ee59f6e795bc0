import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineSplitter } from "./lines.ts";

function linesOf(splitter: LineSplitter, chunks: readonly Buffer[]): string[] {
  const lines: string[] = [];
  for (const chunk of chunks) splitter.push(chunk, (line) => lines.push(line));
  return lines;
}

test("lines come out the same however the bytes are cut", () => {
  const text = fc.array(
    fc
      .string({ unit: "grapheme", minLength: 1 })
      .filter((line) => !/\n/.test(line) && line.trimEnd() === line),
  );
  fc.assert(
    fc.property(text, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (lines, sizes) => {
      const bytes = Buffer.from(lines.map((line) => `${line}\r\n`).join(""));
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; ) {
        const size = sizes.next().value ?? 1;
        chunks.push(bytes.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual(linesOf(new LineSplitter(1000), chunks), lines);
    }),
  );
});

test("a line may reach the limit and not pass it, whether it ends or not", () => {
  assert.deepEqual(linesOf(new LineSplitter(4), [Buffer.from("ab"), Buffer.from("cd\n")]), ["abcd"]);
  assert.throws(() => linesOf(new LineSplitter(4), [Buffer.from("abc"), Buffer.from("de")]), {
    code: "GODWIT_LINE_TOO_LONG",
  });
  assert.throws(() => linesOf(new LineSplitter(4), [Buffer.from("abcde\n")]), {
    code: "GODWIT_LINE_TOO_LONG",
  });
});

test("empty lines are left out", () => {
  assert.deepEqual(linesOf(new LineSplitter(10), [Buffer.from("\n\r\na\n\n")]), ["a"]);
});
