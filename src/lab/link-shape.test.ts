import assert from "node:assert/strict";
import { test } from "node:test";
import { shapedBytes, shapingLine } from "./link-shape.ts";

test("a rate becomes a token bucket with room for a whole offloaded packet", () => {
  assert.equal(
    shapingLine("wire0", 125_000_000),
    "qdisc replace dev wire0 root tbf rate 1000000000bit burst 250000b limit 1250000b",
  );
  assert.match(shapingLine("wire0", 1_250_000), /rate 10000000bit burst 131072b limit 262144b$/);
});

test("no rate becomes a queue that only counts", () => {
  assert.equal(shapingLine("wire0", null), "qdisc replace dev wire0 root pfifo limit 10000");
});

test("the count is the root's, not that of a queue under it", () => {
  assert.equal(shapedBytes('[{"kind":"bfifo","bytes":1},{"kind":"tbf","root":true,"bytes":42}]'), 42);
  assert.ok(Number.isNaN(shapedBytes("[]")));
  assert.ok(Number.isNaN(shapedBytes("{}")));
});
