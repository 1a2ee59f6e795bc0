import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { exampleResult } from "../testing/example-result.ts";
import { drawSvg } from "./draw-svg.ts";
import { benchmarkFigure } from "./figure-08-benchmarks.ts";
import { Results } from "./results.ts";

const held = (lockMs: number) => ({
  source: "driver" as const,
  looks: [],
  droppedCache: null,
  lockMs,
  listBytes: 0,
});

test("a benchmark's kept runs become bars by guest and engine; one that is not there is named", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "benchmarks-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const lines = [
    { cell: "2 GiB, idle: stock", result: exampleResult({ engine: "qemu", bytesOnWire: 2e9 }) },
    { cell: "2 GiB, idle: driver", result: exampleResult({ bytesOnWire: 40e6, freePages: held(2) }) },
    { cell: "2 GiB, idle: driver", result: exampleResult({ bytesOnWire: 60e6, freePages: held(4) }) },
    { cell: "2 GiB, busy: stock", result: exampleResult({ engine: "qemu", outcome: "failed" }) },
  ];
  writeFileSync(
    join(folder, "free-pages.jsonl"),
    `${lines.map((line) => JSON.stringify(line)).join("\n")}\n{"another":"format"}\n`,
  );
  const { charts, tables, sentence } = benchmarkFigure(folder).draw("full", new Results([]));
  assert.deepEqual(Object.keys(charts), ["free-pages"]);
  assert.match(await drawSvg(charts["free-pages"]!), /2 GiB, idle[\s\S]*✕ failed/);
  assert.deepEqual(tables[0]?.rows.slice(1, 4), [
    ["2 GiB, idle", "stock", "1", "2000", "400", "–", "5.00"],
    ["2 GiB, idle", "driver", "2", "50.0", "400", "3.00", "5.00"],
    ["2 GiB, busy", "stock", "0, 1 failed", "–", "–", "–", "–"],
  ]);
  assert.match(sentence, /there is no bench\/results\/post-copy\.jsonl/);
});

for (const [faults, agrees] of [
  [50, true],
  [150, false],
] as const) {
  test(`hybrid with ${faults} faults beside post-copy's 100 ${agrees ? "agrees" : "does not agree"} with the papers`, (context) => {
    const folder = mkdtempSync(join(tmpdir(), "benchmarks-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const { pages } = exampleResult({});
    const keep = (name: string, lines: readonly object[]) =>
      writeFileSync(join(folder, name), lines.map((line) => JSON.stringify(line)).join("\n"));
    keep("free-pages.jsonl", [
      { cell: "2GiB, holds 0%: qemu pre-copy", result: exampleResult({ engine: "qemu", bytesOnWire: 2e9 }) },
      { cell: "2GiB, holds 0%: godwit, driver", result: exampleResult({ bytesOnWire: 40e6 }) },
      { cell: "2GiB, holds 50%: qemu pre-copy", result: exampleResult({ engine: "qemu", bytesOnWire: 2e9 }) },
      { cell: "2GiB, holds 50%: godwit, driver", result: exampleResult({ bytesOnWire: 1e9 }) },
    ]);
    const faulted = (count: number) => ({ pages: { ...pages, faulted: count } });
    keep("post-copy.jsonl", [
      { cell: "reads: qemu post-copy", result: exampleResult({ engine: "qemu", ...faulted(100) }) },
      { cell: "reads: godwit hybrid", result: exampleResult(faulted(faults)) },
    ]);
    const drawn = benchmarkFigure(folder).draw("full", new Results([]));
    assert.equal(drawn.agrees, agrees);
    assert.match(drawn.sentence, /sent, MB: godwit, driver has 0\.02\d* of qemu pre-copy's, in 1 guests/);
  });
}
