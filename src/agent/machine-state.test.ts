import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isBusy,
  machineChanges,
  machineStates,
  machineTransitions,
  nextMachineState,
  stateAdvice,
} from "./machine-state.ts";

for (const state of machineStates) {
  test(`a VM that is ${state} changes as the table says and refuses everything else`, () => {
    for (const change of machineChanges) {
      const expected = machineTransitions[state][change];
      if (expected !== undefined) {
        assert.equal(nextMachineState("a", state, change), expected);
        continue;
      }
      assert.throws(() => nextMachineState("a", state, change), {
        code: isBusy(state) ? "GODWIT_VM_BUSY" : "GODWIT_VM_STATE",
        vmState: state,
        advice: stateAdvice(state),
      });
    }
  });
}

test("every state can be reached from absent and left again", () => {
  const reached = new Set<string>(["absent"]);
  for (let before = -1; before !== reached.size; ) {
    before = reached.size;
    for (const state of machineStates) {
      if (!reached.has(state)) continue;
      for (const next of Object.values(machineTransitions[state])) reached.add(next);
    }
  }
  assert.deepEqual([...reached].sort(), [...machineStates].sort());
  for (const state of machineStates) assert.notEqual(Object.keys(machineTransitions[state]).length, 0, state);
});

test("a VM that moved away or is at work is never started a second time", () => {
  for (const state of ["departed", "running", "paused", "migrating-out", "incoming", "in-doubt"] as const) {
    assert.equal(machineTransitions[state].start, undefined, state);
  }
});

test("a VM under migration refuses a second one, in both directions", () => {
  for (const state of ["migrating-out", "incoming", "in-doubt"] as const) {
    assert.equal(machineTransitions[state].migrate, undefined);
    assert.equal(machineTransitions[state].offer, undefined);
    assert.equal(machineTransitions[state].delete, undefined);
  }
});
