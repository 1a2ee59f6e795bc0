import assert from "node:assert/strict";
import { test } from "node:test";
import type { MigrationEvent } from "../../migration/events.ts";
import { baseGuest } from "./base-guest.ts";
import { cellOf } from "./cell.ts";
import { lastMigration } from "./last-migration.ts";
import { exampleRun } from "./testing/example-runs.ts";
import { timelineOf } from "./timeline.ts";

const { events } = exampleRun(cellOf("hybrid", baseGuest.full, { extras: ["timeline"] }));
const own: readonly MigrationEvent[] = events!;

test("phases follow each other without a gap, and end with the migration", () => {
  const { phases, endSeconds } = timelineOf(own);
  assert.deepEqual(
    phases.map(({ phase }) => phase),
    ["setup", "live", "switchover", "remainder"],
  );
  for (const [at, { to }] of phases.entries()) assert.equal(to, phases[at + 1]?.from ?? endSeconds);
});

test("samples are in megabytes, and faults only grow", () => {
  const { samples } = timelineOf(own);
  assert.ok(samples.length > 4);
  assert.ok(samples.every(({ megabytesPerSecond }) => megabytesPerSecond >= 80 && megabytesPerSecond < 90));
  assert.ok(
    samples.every(({ faultedPages }, at) => at === 0 || faultedPages >= samples[at - 1]!.faultedPages),
  );
});

test("an engine without phases has samples all the same, and no events are no migration", () => {
  const { phases, samples } = timelineOf(own.filter(({ type }) => type === "progress"));
  assert.equal(phases.length, 0);
  assert.ok(samples.length > 0);
  assert.equal(timelineOf([]).endSeconds, 0);
});

test("of a log with several migrations the last one counts", () => {
  const other = own.map((event) => ({ ...event, migrationId: "another" }));
  assert.deepEqual(lastMigration([...own, ...other]), other);
  assert.deepEqual(lastMigration([...own, ...own]), own);
  assert.deepEqual(lastMigration(own), own);
  assert.deepEqual(lastMigration([]), []);
});
