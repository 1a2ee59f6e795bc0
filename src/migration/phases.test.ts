import assert from "node:assert/strict";
import { test } from "node:test";
import { type PhaseName, phaseNames } from "./events.ts";
import { PhaseMachine, phaseTransitions } from "./phases.ts";

/** A shortest way from preflight to a phase, found in the table itself. */
function wayTo(target: PhaseName): PhaseName[] | undefined {
  const ways: PhaseName[][] = [["preflight"]];
  for (const way of ways) {
    const last = way.at(-1)!;
    if (last === target) return way.slice(1);
    for (const next of phaseTransitions[last]) if (!way.includes(next)) ways.push([...way, next]);
  }
  return undefined;
}

for (const phase of phaseNames) {
  const way = wayTo(phase);

  test(`phase ${phase} can be reached`, () => assert.notEqual(way, undefined));

  for (const next of phaseNames) {
    const allowed = phaseTransitions[phase].includes(next);
    test(`${next} ${allowed ? "may" : "may not"} follow ${phase}`, () => {
      const machine = new PhaseMachine(() => {});
      for (const step of way!) machine.enter(step);
      if (allowed) {
        machine.enter(next);
        assert.equal(machine.current, next);
      } else {
        assert.throws(() => machine.enter(next), { code: "GODWIT_PHASE_TRANSITION" });
        assert.equal(machine.current, phase);
      }
    });
  }
}

test("only the three ends are final, and every other phase can fail or be cancelled", () => {
  const finals = ["completed", "cancelled", "failed"];
  for (const phase of phaseNames) {
    assert.equal(phaseTransitions[phase].length === 0, finals.includes(phase), phase);
    assert.equal(phaseTransitions[phase].includes("failed"), !finals.includes(phase), phase);
  }
});

test("no phase behind the commit leads back to a cancelled migration", () => {
  for (const phase of ["remainder", "paused"] as const) {
    assert.ok(!phaseTransitions[phase].includes("cancelling"));
  }
});
