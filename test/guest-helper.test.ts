import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import {
  blockRunsOf,
  type FreePagesRequest,
  GuestHelper,
  guestPageCount,
  HeldLocks,
  HOLD_US,
  type SharedDoorbell,
} from "../src/hints/index.ts";
import { toolchain } from "../src/lab/toolchain.ts";
import { countPages, eachPage, type Runs } from "../src/pages/index.ts";
import { takeDoorbell } from "../src/qemu/doorbell.ts";
import { memoryMap } from "../src/qemu/memory-map.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { Workshop } from "./qemu-machines.ts";
import { HELPER_CHANNEL, helpfulGuestMachine, speakWith } from "./support/guest.ts";

const MIB = 1 << 20;
const PAGES_PER_MIB = 256;
const BOOT_TIMEOUT_MS = 120_000;
/** An emulated guest that has just come up on a busy machine. */
const PATIENT = { timeoutMs: 60_000 };
const request: FreePagesRequest = { source: "any", minimumOrder: 0, perCpu: true, mostRuns: 1 << 17 };

const missing = toolchain().guest === null || toolchain().qemu["10.0"] === undefined;
const skip = missing ? "QEMU 10.0 or the guest image is not available" : false;

async function piecesOf(machine: RunningMachine) {
  return (await memoryMap(machine.qmp)).map(({ guestAddress, bytes, block, blockOffset }) => ({
    firstGuestPage: guestAddress / 4096,
    pages: bytes / 4096,
    block,
    firstBlockPage: blockOffset / 4096,
  }));
}

/** The same doorbell in the hands of a host that never says that it has read a list. */
function withoutAnswers(doorbell: SharedDoorbell): SharedDoorbell {
  const ANSWER_AT = 12;
  return {
    bytes: doorbell.bytes,
    hostPeer: doorbell.hostPeer,
    read: (into, at) => doorbell.read(into, at),
    write: (word, at) => {
      if (at !== ANSWER_AT) doorbell.write(word, at);
    },
    ring: () => doorbell.ring(),
    rung: (options) => doorbell.rung(options),
    [Symbol.dispose]: () => {},
  };
}

test("a guest's helper lists free pages and the working set, as they are", {
  skip,
  timeout: 240_000,
}, async (t) => {
  await using workshop = new Workshop("10.0");
  const append = "transparent_hugepage=never";
  const nodes = [
    ...["-object", "memory-backend-ram,id=m0,size=128M", "-numa", "node,memdev=m0"],
    ...["-object", "memory-backend-ram,id=m1,size=134225920", "-numa", "node,memdev=m1"],
  ];
  const machine = await workshop.start(
    helpfulGuestMachine(
      "10.0",
      `doorbell: true\nextraArguments: ${JSON.stringify(nodes)}`,
      append,
      "262152KiB",
    ),
  );
  using guest = await speakWith(machine);
  await guest.ping({ timeoutMs: BOOT_TIMEOUT_MS });
  const pieces = await piecesOf(machine);
  const path = machine.channelPath(HELPER_CHANNEL);

  await t.test("after a host program that went away amid its request", async () => {
    const socket = connect(path);
    await new Promise<void>((resolve) =>
      socket.write(Buffer.from("GWTG\x02\0\x01\0half", "latin1"), () => resolve()),
    );
    socket.destroy();
    using helper = await GuestHelper.connect(path, guestPageCount(pieces), PATIENT);
    assert.equal(helper.hello.canAskDriver, true);
  });

  using helper = await GuestHelper.connect(path, guestPageCount(pieces), PATIENT);
  const free = async (more: Partial<FreePagesRequest> = {}) => {
    const answer = await helper.freePages({ ...request, ...more });
    return { ...answer, pages: countPages(answer.runs), byBlock: blockRunsOf(answer.runs, pieces) };
  };

  await t.test("the driver and kpageflags agree about how much is free, in both nodes' memory", async () => {
    const withPerCpu = await free();
    // What processors keep at hand kpageflags does not call free.
    const driver = await free({ perCpu: false });
    assert.ok(withPerCpu.pages > driver.pages);
    const flags = await free({ source: "kpageflags" });
    assert.deepEqual([driver.source, flags.source], ["driver", "kpageflags"]);
    assert.ok(driver.pages > 150 * PAGES_PER_MIB, `${driver.pages}`);
    assert.ok(Math.abs(driver.pages - flags.pages) < 8 * PAGES_PER_MIB, `${driver.pages} and ${flags.pages}`);
    assert.deepEqual(driver.byBlock.map(({ block }) => block).sort(), ["m0", "m1"]);
    assert.ok(driver.initOnAlloc && !driver.initOnFree && !driver.truncated && driver.zones >= 2);
    assert.ok(driver.lockMs > 0 && driver.longestLockMs <= driver.lockMs && driver.lockMs <= driver.scanMs);
  });

  await t.test(
    "by its doorbell the driver lists the same, and holds all locks until the list is read",
    async () => {
      using doorbell = await takeDoorbell(machine.pid);
      using locks = new HeldLocks(doorbell, guestPageCount(pieces));
      const driver = await free({ perCpu: false });
      for (let time = 1; time <= 3; time++) {
        const held = await locks.freePages(request, PATIENT);
        const pages = countPages(held.runs);
        assert.ok(Math.abs(driver.pages - pages) < 8 * PAGES_PER_MIB, `${driver.pages} and ${pages}`);
        assert.deepEqual([held.source, held.zones, held.truncated], ["held-locks", driver.zones, false]);
        assert.ok(held.lockMs > held.scanMs && held.scanMs > 0, `${held.lockMs} and ${held.scanMs} ms`);
        assert.deepEqual(
          new Set(blockRunsOf(held.runs, pieces).map(({ block }) => block)),
          new Set(["m0", "m1"]),
        );
      }
    },
  );

  await t.test(
    "a guest whose host does not answer lets go of its locks by itself, and its list is thrown away",
    async () => {
      using doorbell = await takeDoorbell(machine.pid);
      using locks = new HeldLocks(withoutAnswers(doorbell), guestPageCount(pieces));
      await assert.rejects(locks.freePages(request, PATIENT), { code: "GODWIT_LOCKS_RELEASED" });
      assert.equal(locks.thrownAway, 8);
      await guest.ping(PATIENT);
      using answers = new HeldLocks(doorbell, guestPageCount(pieces));
      const driver = await free({ perCpu: false });
      const answer = await answers.freePages(request, PATIENT);
      // A try that a busy host lost costs its whole hold; one that it won less.
      assert.ok(answers.thrownAway > 0 || answer.lockMs < HOLD_US / 1000, `${answer.lockMs} ms`);
      const pages = countPages(answer.runs);
      assert.ok(Math.abs(driver.pages - pages) < 8 * PAGES_PER_MIB, `${driver.pages} and ${pages}`);
    },
  );

  await t.test("a bound leaves out the smallest blocks, a least order what is below it", async () => {
    const few = await free({ mostRuns: 8 });
    assert.ok(few.truncated && few.runs.length / 2 <= 8 && few.minimumOrder > 0);
    const large = await free({ minimumOrder: 9, perCpu: false });
    for (let run = 1; run < large.runs.length; run += 2) assert.ok(large.runs[run]! >= 512);
    assert.ok(large.pages <= (await free()).pages);
  });

  await t.test("memory that the guest takes is free no more", async () => {
    const before = await free();
    await guest.load({ holdBytes: 64 * MIB, content: "text", hotBytes: 8 * MIB, dirtyBytesPerSecond: 50e6 });
    await guest.waitUntilReady();
    const taken = before.pages - (await free()).pages;
    assert.ok(taken > 60 * PAGES_PER_MIB && taken < 80 * PAGES_PER_MIB, `${taken} pages`);
  });

  await t.test("the working set is what the guest works with", async () => {
    await helper.workingSet({ scans: 0, intervalMs: 0, mostRuns: 1 << 17, fresh: true });
    const { updates } = await guest.status();
    while ((await guest.status()).updates < updates + (2 * 8 * MIB) / 4096);
    const touched = await helper.workingSet({ scans: 1, intervalMs: 0, mostRuns: 1 << 17, fresh: false });
    const pages = countPages(touched.runs);
    assert.ok(pages >= 8 * PAGES_PER_MIB && pages < 16 * PAGES_PER_MIB, `${pages} pages`);
    assert.ok(touched.mappedPages >= 64 * PAGES_PER_MIB && touched.hugePages === 0);
    blockRunsOf(touched.runs, pieces);
  });

  await t.test(
    "the kernel's pages are neither free nor the guest's programs', page tables among them",
    async () => {
      const listed = async (tablesOnly: boolean) => {
        const { runs, truncated } = await helper.kernelPages({ tablesOnly, mostRuns: 1 << 17 });
        assert.equal(truncated, false);
        return runs;
      };
      const tables = await listed(true);
      const all = await listed(false);
      const overlap = (one: Runs, other: Runs) => {
        const known = new Set(eachPage(one));
        return [...eachPage(other)].filter((page) => known.has(page)).length;
      };
      // 64 MiB are mapped by 32 tables at least, one for 2 MiB.
      assert.ok(countPages(tables) >= 32 && countPages(tables) < 1000, `${countPages(tables)} tables`);
      assert.ok(
        countPages(all) > 10 * PAGES_PER_MIB && countPages(all) < 80 * PAGES_PER_MIB,
        `${countPages(all)}`,
      );
      assert.ok(overlap(tables, all) >= countPages(tables) - 8, "what is a table is the kernel's");
      const programs = await helper.workingSet({ scans: 1, intervalMs: 0, mostRuns: 1 << 17, fresh: true });
      // A look has the tables that led to a program's pages, too.
      assert.ok(
        overlap(programs.runs, all) <= countPages(tables) + 64,
        `${overlap(programs.runs, all)} pages`,
      );
      assert.ok(overlap((await free({ perCpu: false })).runs, all) < 2 * PAGES_PER_MIB);
    },
  );

  await t.test("dropping the cache ends in time, and the helper goes on", async () => {
    const dropped = await helper.dropCache(5_000);
    assert.equal(dropped.finished, true);
    assert.ok((await free()).pages > 0);
  });
});

test("without driver the helper reads kpageflags, and leaves poisoned pages alone", {
  skip,
  timeout: 240_000,
}, async () => {
  await using workshop = new Workshop("10.0");
  const machine = await workshop.start(helpfulGuestMachine("10.0", "", "godwit.driver=no page_poison=1"));
  using guest = await speakWith(machine);
  await guest.ping({ timeoutMs: BOOT_TIMEOUT_MS });
  const pieces = await piecesOf(machine);
  using helper = await GuestHelper.connect(
    machine.channelPath(HELPER_CHANNEL),
    guestPageCount(pieces),
    PATIENT,
  );
  assert.deepEqual(
    [helper.hello.canAskDriver, helper.hello.canReadKpageflags, helper.hello.canScanWorkingSet],
    [false, true, false],
  );
  await assert.rejects(helper.freePages(request), { code: "GODWIT_HELPER_REFUSED", message: /page_poison/ });
  await assert.rejects(helper.freePages({ ...request, source: "driver" }), {
    code: "GODWIT_HELPER_REFUSED",
    message: /no driver/,
  });
});
