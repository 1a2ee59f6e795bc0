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
