import assert from "node:assert/strict";
import { test } from "node:test";
import { type CutMode, LinkSimulator } from "../src/lab/link-simulator.ts";
import { qemuVersions } from "../src/lab/toolchain.ts";
import type { RunningMachine } from "../src/qemu/running-machine.ts";
import { assertWhole, BUSY, guestMachine, loadGuest } from "./support/guest.ts";
import { Pair } from "./support/pair.ts";

/** The far ends of the simulated link: addresses of the loopback device that nobody else uses. */
const SIMULATED = "127.83.71.2";
const BULK_PORTS = [17_482, 17_483] as const;

interface Scene extends AsyncDisposable {
  readonly pair: Pair;
  readonly machine: RunningMachine;
  readonly link: LinkSimulator;
  migration(lostAfterMs: number): ReturnType<Pair["migration"]>;
}

/** A busy guest and a link between the hosts that can be cut; all connections of a migration cross it. */
async function scene(): Promise<Scene> {
  const [newest] = qemuVersions();
  const pair = await Pair.open(newest!, SIMULATED);
  const through = (port: number) => ({
    ...{ listenHost: SIMULATED, listenPort: port, targetHost: "127.0.0.1", targetPort: port },
  });
  const link = await LinkSimulator.start([through(pair.b.port), ...BULK_PORTS.map(through)]);
  const machine = await pair.start(pair.a, guestMachine(newest!));
  await loadGuest(machine, BUSY);
  return {
    pair,
    machine,
    link,
    migration: (lostAfterMs) =>
      pair.migration(
        machine,
        pair.a,
        pair.b,
        { bandwidthBytesPerSecond: 10e6 },
        {
          destination: { host: SIMULATED, port: pair.b.port, name: "beta" },
          bulkListen: { host: "127.0.0.1", ports: BULK_PORTS },
          lostAfterMs,
        },
      ),
    async [Symbol.asyncDispose]() {
      await link[Symbol.asyncDispose]();
      await pair[Symbol.asyncDispose]();
    },
  };
}

test("a link that is cut", async (t) => {
  await using all = await scene();
  const { pair, link, machine } = all;
  for (const mode of ["stall", "reset", "blackhole"] satisfies CutMode[]) {
    await t.test(
      `a link that is cut for good before the commit (${mode}) leaves the guest at the source`,
      async () => {
        const migration = all.migration(2_000);
        const abandoned = pair.b.nextResult();
        const end = migration.onEvent((event) => {
          if (event.type !== "progress") return;
          end();
          link.cut(mode);
        });
        const report = await migration.run();
        assert.equal(report.outcome, "failed");
        assert.match(report.error?.code ?? "", /^GODWIT_(LINK|BULK)_/, JSON.stringify(report.error));
        assert.equal(report.error?.phase, "live");
        assert.equal(report.error?.vmState, "running at the source");
        await assertWhole(machine);
        link.restore();
        assert.equal((await abandoned).outcome, "abandoned");
      },
    );
  }

  await t.test(
    "a retry works, and a link cut for less than the time-out goes on without sending anything again",
    async () => {
      const migration = all.migration(60_000);
      let cuts = 0;
      migration.onEvent((event) => {
        if (event.type !== "progress" || cuts > 0) return;
        cuts += 1;
        link.cut("stall");
        setTimeout(() => link.restore(), 2_000);
      });
      const result = pair.b.nextResult();
      const report = await migration.run();
      assert.equal(report.outcome, "completed", JSON.stringify(report.error));
      assert.equal(cuts, 1);
      const { machine: arrived } = await result;
      await assertWhole(arrived!);
    },
  );
});
