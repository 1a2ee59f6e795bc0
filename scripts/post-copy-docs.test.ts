import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readLines } from "../bench/cells.ts";
import { marked } from "../bench/marked.ts";
import { paperTable } from "../bench/post-copy/paper.ts";

const root = join(import.meta.dirname, "..");

test("post-copy.md has the paper's table as the kept runs give it; `node bench/post-copy.ts --draw` makes it anew", () => {
  const text = readFileSync(join(root, "docs/post-copy.md"), "utf8");
  assert.equal(marked(text, "paper"), paperTable(readLines(join(root, "bench/results/post-copy.jsonl"))));
});
