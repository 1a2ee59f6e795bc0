import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { deviceTables } from "../src/metal/index.ts";

const START = "<!-- registers:start -->\n";
const END = "\n<!-- registers:end -->";

test("metal-registers.md has the tables of the code; `godwit metal devices` prints them anew", () => {
  const text = readFileSync(join(import.meta.dirname, "../docs/metal-registers.md"), "utf8");
  const documented = text.slice(text.indexOf(START) + START.length, text.indexOf(END));
  assert.equal(documented, deviceTables());
});
