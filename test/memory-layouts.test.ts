import assert from "node:assert/strict";
import { test } from "node:test";
import { HugePages } from "../src/lab/huge-pages.ts";
import { qemuVersions } from "../src/lab/toolchain.ts";
import type { Machine } from "../src/qemu/machine.ts";
import { assertWhole, BUSY, guestMachine, loadGuest } from "./support/guest.ts";
import { Pair } from "./support/pair.ts";

const [newest] = qemuVersions();

/** The huge block of both ends, in pages of 2 MiB. */
const HUGE_PAGES = 2 * 64;

/**
 * Three nodes: what all processors belong to, of huge pages where there are some; shared memory; private memory. The
 * first one lies at the beginning of QEMU's addresses, and the others are no multiples of 256 KiB: of any other block that is
 * one, QEMU 10.0 under TCG resets the wrong range when it syncs its dirty log, and ends itself where that spans two.
 */
function nodes(huge: boolean): string[] {
  const hugetlb = huge ? ",hugetlb=on,hugetlbsize=2M" : "";
  return [
    ...["-object", `memory-backend-memfd,id=main0,size=131072K,share=on${hugetlb}`],
    ...["-object", "memory-backend-memfd,id=shared0,size=65544K,share=on"],
    ...["-object", "memory-backend-ram,id=private0,size=65544K"],
    ...[
      "-numa",
      "node,memdev=main0,cpus=0-3",
      "-numa",
      "node,memdev=shared0",
      "-numa",
      "node,memdev=private0",
    ],
  ];
}

/** The same machine whose memory blocks have other names. */
function renamed(machine: Machine): Machine {
  const rename = (argument: string) =>
    argument.replace(/(id|memdev)=(shared|private|main)(\d)/, (_, key, name, digit) => {
      return `${key}=${name}${Number(digit) + 1}`;
    });
  return { ...machine, extraArguments: machine.extraArguments.map(rename) };
}

test("a guest with four processors and three memory blocks of different kinds moves to blocks of other names", async (t) => {
  using huge = HugePages.reserve(HUGE_PAGES);
  await t.test("one of the blocks is of huge pages", { skip: huge.missing ?? false }, () => {});
  await using pair = await Pair.open(newest!);
  pair.a.startsAs = renamed;
  pair.b.startsAs = renamed;
  const layout = JSON.stringify(nodes(huge.missing === null));
  let machine = await pair.start(
    pair.a,
    guestMachine(newest!, `vcpus: 4\nextraArguments: ${layout}`, "web", "262160KiB"),
  );
  await loadGuest(machine, BUSY);
  let [from, to] = [pair.a, pair.b];
  for (const strategy of ["hybrid", "post-copy"] as const) {
    await t.test(`by ${strategy}`, async () => {
      const result = to.nextResult();
      const report = await pair.migration(machine, from, to, { strategy }).run();
      assert.equal(report.outcome, "completed", JSON.stringify(report.error));
      assert.ok(report.postcopy !== null, "the guest resumed before its pages were there");
      const counted = report.postcopy.latencyCounts.reduce((sum, count) => sum + count, 0);
      assert.equal(counted, report.postcopy.faults, "every request was answered");
      machine = (await result).machine!;
      [from, to] = [to, from];
      await assertWhole(machine);
    });
  }
});
