import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import { test } from "node:test";
import { DOORBELL_MEMORY_BYTES, makeDoorbell, takeDoorbell } from "./doorbell.ts";

const notThere = { code: "GODWIT_DOORBELL" } as const;

test("without koffi there is a typed error, and with it the same call works", async () => {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      if (specifier === "koffi") throw new Error("Cannot find package 'koffi'");
      return next(specifier, context);
    },
  });
  await assert.rejects(makeDoorbell(), { ...notThere, message: /koffi can't be loaded: Cannot find/ });
  hooks.deregister();
  (await makeDoorbell())[Symbol.dispose]();
});

test("a process without a doorbell, and one that is gone, have none to take", async () => {
  await assert.rejects(takeDoorbell(process.pid), { ...notThere, message: /no doorbell device/ });
  await assert.rejects(takeDoorbell(2 ** 22 + 1), notThere);
});

test("a doorbell is found in the process that has it, by whoever looks there", async () => {
  using _server = await makeDoorbell();
  using one = await takeDoorbell(process.pid);
  using other = await takeDoorbell(process.pid);
  one.write(0x12345678, 4096);
  const seen = Buffer.alloc(4);
  other.read(seen, 4096);
  assert.equal(seen.readUInt32LE(), 0x12345678);
  other.read(seen, 0);
  assert.equal(seen.toString("latin1"), "GWTL");
  assert.equal(one.bytes, DOORBELL_MEMORY_BYTES);
  one.ring();
});

test("a wait for the bell ends with its time, and at once when it is aborted", async () => {
  using _server = await makeDoorbell();
  using doorbell = await takeDoorbell(process.pid);
  assert.equal(await doorbell.rung({ timeoutMs: 1 }), false);
  const abort = new AbortController();
  const waits = doorbell.rung({ timeoutMs: 60_000, signal: abort.signal });
  abort.abort();
  await assert.rejects(waits, { code: "GODWIT_ABORTED" });
  assert.equal(await doorbell.rung({ timeoutMs: 1 }), false);
});

test("a doorbell that is closed amid a wait keeps its descriptors until the wait is over", async () => {
  using _server = await makeDoorbell();
  const doorbell = await takeDoorbell(process.pid);
  const waits = doorbell.rung({ timeoutMs: 20 });
  doorbell[Symbol.dispose]();
  assert.equal(await waits, false);
  assert.throws(() => doorbell.ring(), { code: "EBADF" });
});
