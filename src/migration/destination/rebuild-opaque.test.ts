import assert from "node:assert/strict";
import { test } from "node:test";
import { rebuildOpaque } from "./rebuild-opaque.ts";

const STATE = Buffer.from("{}");

function rebuilder() {
  const rebuilt: Uint8Array[] = [];
  return {
    rebuilt,
    rebuild: async (state: Uint8Array) => {
      rebuilt.push(state);
    },
  };
}

test("devices are rebuilt where they were announced and came, and nothing is done where there are none", async () => {
  const machine = rebuilder();
  assert.ok((await rebuildOpaque(machine, STATE)) >= 0);
  assert.deepEqual(machine.rebuilt, [STATE]);
  assert.equal(await rebuildOpaque(null, null), 0);
});

test("a machine whose devices were to be rebuilt and did not come is refused, and so are devices that nobody announced", async () => {
  const machine = rebuilder();
  const invalid = { code: "GODWIT_WIRE_INVALID" };
  await assert.rejects(rebuildOpaque(machine, null), { ...invalid, message: /did not come/ });
  await assert.rejects(rebuildOpaque(null, STATE), { ...invalid, message: /nobody announced/ });
  assert.deepEqual(machine.rebuilt, []);
});
