import assert from "node:assert/strict";
import { test } from "node:test";
import { makeDoorbell, takeDoorbell } from "../../qemu/doorbell.ts";
import { HeldLocksLister } from "./held-locks-lister.ts";

const request = { source: "any", minimumOrder: 0, perCpu: true, mostRuns: 100 } as const;

/** Where a guest says that a driver is there. */
const DRIVER_AT = 32;

test("what the doorbell's thread can't do is told to whoever asked", async () => {
  const without = new HeldLocksLister(process.pid, 1000);
  await assert.rejects(without.freePages(request), { code: "GODWIT_DOORBELL" });
  without.close();

  using _server = await makeDoorbell();
  const driverless = new HeldLocksLister(process.pid, 1000);
  await assert.rejects(driverless.freePages(request), {
    code: "GODWIT_HELPER_REFUSED",
    message: /no driver/,
  });
  driverless.close();
});

test("a silent guest is waited for so long, and not at all when the asking ends", async () => {
  using _server = await makeDoorbell();
  using guest = await takeDoorbell(process.pid);
  guest.write(1, DRIVER_AT);
  const lister = new HeldLocksLister(process.pid, 1000);
  await assert.rejects(lister.freePages(request, { timeoutMs: 20 }), { code: "GODWIT_HELPER_SILENT" });
  const abort = new AbortController();
  const aborted = lister.freePages(request, { timeoutMs: 60_000, signal: abort.signal });
  abort.abort();
  await assert.rejects(aborted, { code: "GODWIT_ABORTED" });
  lister.close();
});
