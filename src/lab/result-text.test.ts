import assert from "node:assert/strict";
import { test } from "node:test";
import { comparisonRows, describeResult, tableText } from "./result-text.ts";
import { exampleResult } from "./testing/example-result.ts";

test("a result for people says what happened, what it cost and what the guest says", () => {
  const text = describeResult(exampleResult());
  assert.match(text, /godwit pre-copy, a to b: completed/);
  assert.match(text, /downtime 100 ms/);
  assert.match(text, /977 KiB; pages: 900 sent \(50 again, 0 as differences\), 100 zero, of 1,000; 3 rounds/);
  assert.match(text, /nothing wrong/);
});

test("a failed move says why, a damaged guest is not overlooked, and what is missing is a dash", () => {
  const failed = describeResult(
    exampleResult({ outcome: "failed", downtimeMs: null, error: { code: "GODWIT_X", message: "it broke" } }),
  );
  assert.match(failed, /failed \(GODWIT_X: it broke\)/);
  assert.match(failed, /downtime –/);
  assert.match(
    describeResult(exampleResult({ guestVerified: false, guestDamage: "3 lost" })),
    /DAMAGED: 3 lost/,
  );
  assert.match(describeResult(exampleResult({ guestVerified: null, client: null })), /not asked/);
});

test("a comparison has a column for each result, aligned", () => {
  const lines = tableText(
    comparisonRows([
      { name: "Godwit", result: exampleResult() },
      { name: "stock QEMU", result: exampleResult({ totalMs: 16_100 }) },
    ]),
  ).split("\n");
  assert.match(lines[0] ?? "", /^ +Godwit +stock QEMU$/);
  const total = lines.find((line) => line.startsWith("total time")) ?? "";
  assert.match(total, /5000 ms +16.1 s$/);
  assert.equal(
    total.indexOf("5000 ms") + "5000 ms".length,
    (lines[0] ?? "").indexOf("Godwit") + "Godwit".length,
  );
});
