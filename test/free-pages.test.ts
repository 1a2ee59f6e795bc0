import assert from "node:assert/strict";
import { test } from "node:test";
import { GuestHelper } from "../src/hints/index.ts";
import { afterHello, answerTo, FakeHelper, listPayload } from "../src/hints/testing/fake-helper.ts";
import { qemuVersions } from "../src/lab/toolchain.ts";
import type { MigrationReport } from "../src/migration/report.ts";
import type { MigrationSettingsInput } from "../src/migration/settings.ts";
import { eachPage, runsOf } from "../src/pages/index.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { assertWhole, HELPER_CHANNEL, helpfulGuestMachine, loadGuest, speakWith } from "./support/guest.ts";
import { type Host, Pair } from "./support/pair.ts";

const MIB = 1024 ** 2;
const PAGE_BYTES = 4096;
/** Half of what the guest has: the rest is for what comes and goes, and free. */
const HELD = { holdBytes: 64 * MIB, content: "text", hotBytes: 8 * MIB, dirtyBytesPerSecond: 5e6 } as const;
const CHURN_BYTES = 48 * MIB;
const USED_BYTES = 64 * MIB;
/** What is left of 256 MiB beside that and the guest's own, with room. */
const CERTAINLY_FREE_PAGES = (48 * MIB) / PAGE_BYTES;

async function move(
  pair: Pair,
  machine: RunningMachine,
  from: Host,
  to: Host,
  settings: MigrationSettingsInput,
): Promise<{ arrived: RunningMachine; report: MigrationReport }> {
  const result = to.nextResult();
  const report = await pair.migration(machine, from, to, settings).run();
  assert.equal(report.outcome, "completed", JSON.stringify(report.error));
  return { arrived: (await result).machine!, report };
}

const variants: Readonly<Record<string, readonly MigrationSettingsInput[]>> = {
  "10.0": [
    { strategy: "pre-copy" },
    { strategy: "post-copy" },
    { strategy: "hybrid", freePages: "kpageflags" },
    { strategy: "stop-and-copy", freePages: "held-locks" },
    { strategy: "auto", freePages: "off" },
  ],
  "7.2": [
    { strategy: "pre-copy" },
    { strategy: "post-copy" },
    { strategy: "stop-and-copy", freePages: "held-locks" },
  ],
};

/** Every strategy and every way to ask. */
const tour: readonly MigrationSettingsInput[] = [
  { strategy: "pre-copy" },
  { strategy: "post-copy" },
  { strategy: "hybrid", freePages: "kpageflags" },
  { strategy: "stop-and-copy", freePages: "held-locks" },
  { strategy: "auto" },
];

/** So many rounds of all in place of those that CI makes, told of one by one (docs/free-pages.md). */
const TOURS = Number(process.env.GODWIT_FREE_PAGES_TOURS ?? 0);
const tours = Array.from({ length: TOURS }, () => tour).flat();

for (const version of qemuVersions()) {
  test(`QEMU ${version}: a guest that takes, writes and frees memory all the time moves without its free pages`, async (t) => {
    await using pair = await Pair.open(version);
    let machine = await pair.start(pair.a, helpfulGuestMachine(version, "doorbell: true"));
    await loadGuest(machine, HELD);
    {
      using guest = await speakWith(machine);
      await guest.churn(CHURN_BYTES, 20e6);
    }
    let [from, to] = [pair.a, pair.b];
    for (const settings of TOURS > 0 ? tours : (variants[version] ?? [])) {
      const { strategy, freePages = "auto" } = settings;
      await t.test(`by ${strategy}, free pages ${freePages}`, async (step) => {
        {
          // Memory that is untouched, as what was left out arrives, is zero: there is nothing to leave out.
          using guest = await speakWith(machine);
          await guest.fillAndFree(USED_BYTES);
        }
        const { arrived, report } = await move(pair, machine, from, to, settings);
        machine = arrived;
        [from, to] = [to, from];
        await assertWhole(machine);
        const counts = report.freePages?.looks.map(({ droppedPages }) => droppedPages) ?? [];
        step.diagnostic(
          `whole; ${report.pages.free} pages stayed behind, by look ${counts.join(", ") || "none"}`,
        );
        // A look that comes too late on a busy machine costs the saving; over many moves only losses count.
        if (TOURS > 0) return;
        if (freePages === "off") {
          assert.deepEqual([report.freePages, report.pages.free], [null, 0]);
          return;
        }
        assert.equal(report.freePages?.source, freePages === "auto" ? "driver" : freePages);
        const { looks } = report.freePages!;
        assert.ok(
          looks.some(({ droppedPages }) => droppedPages > 0),
          "no look counted",
        );
        const zeroOrFree = report.pages.free + report.pages.zero;
        assert.ok(zeroOrFree >= CERTAINLY_FREE_PAGES, `${zeroOrFree} pages were left out`);
      });
    }
  });
}

async function helperOf(machine: RunningMachine): Promise<GuestHelper> {
  return GuestHelper.connect(machine.channelPath(HELPER_CHANNEL), 65_538, { timeoutMs: 60_000 });
}

/** The pages that the guest says are free now. */
async function freeNow(machine: RunningMachine): Promise<Set<number>> {
  using helper = await helperOf(machine);
  const { runs } = await helper.freePages({
    source: "any",
    minimumOrder: 0,
    perCpu: true,
    mostRuns: 1 << 17,
  });
  return new Set(eachPage(runs));
}

/** The pages that programs of the guest have touched, and whose loss leaves its kernel alive. */
async function touched(machine: RunningMachine): Promise<number[]> {
  using helper = await helperOf(machine);
  const { runs } = await helper.workingSet({ scans: 1, intervalMs: 0, mostRuns: 1 << 17, fresh: false });
  return [...eachPage(runs)];
}

test("a list of free pages that is older than the migration damages the guest: the order of things is what protects it", async () => {
  const [newest] = qemuVersions();
  await using pair = await Pair.open(newest!);
  const machine = await pair.start(pair.a, helpfulGuestMachine(newest!, "", "transparent_hugepage=never"));
  {
    using guest = await speakWith(machine);
    await guest.ping({ timeoutMs: 120_000 });
  }
  const early = await freeNow(machine);
  // Taken in between, and then left as it is: nothing will name these pages again.
  await loadGuest(machine, { ...HELD, dirtyBytesPerSecond: 0 });
  await assertWhole(machine);
  const stale = (await touched(machine)).filter((page) => early.has(page));
  assert.ok(stale.length > HELD.holdBytes / PAGE_BYTES / 2, "what the guest took was not free before");
  const lie = listPayload([...runsOf(stale)], 4);
  await using liar = await FakeHelper.listen(afterHello((seen) => answerTo(seen, lie)));
  machine.channelPath = () => liar.path;
  const { arrived, report } = await move(pair, machine, pair.a, pair.b, {});
  assert.ok(report.pages.free > 0, "nothing was dropped: the test means nothing");
  await assert.rejects(assertWholeWithin(arrived, 30_000));
});

/** A guest that lost pages may never answer. */
async function assertWholeWithin(machine: RunningMachine, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the guest is silent")), timeoutMs);
  });
  await Promise.race([assertWhole(machine), late]).finally(() => clearTimeout(timer));
}
