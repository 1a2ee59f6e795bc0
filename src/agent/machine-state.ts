import { GodwitError } from "../base/errors.ts";

/** What a VM is on this host. `absent` is no state of an entry: it means that the agent forgets the name. */
export const machineStates = [
  "absent",
  "stopped",
  "starting",
  "running",
  "paused",
  "stopping",
  "migrating-out",
  "incoming",
  "departed",
  "crashed",
  "in-doubt",
] as const;

/** The state of one VM on this host. */
export type MachineState = (typeof machineStates)[number];

/** What can happen to a VM on this host. */
export const machineChanges = [
  "start",
  "started",
  "start-failed",
  "guest-paused",
  "guest-resumed",
  "stop",
  "exited",
  "crashed",
  "migrate",
  "offer",
  "settled-running",
  "settled-paused",
  "settled-departed",
  "settled-in-doubt",
  "settled-absent",
  "delete",
] as const;

/** One thing that happens to a VM. */
export type MachineChange = (typeof machineChanges)[number];

/**
 * The transition table of a VM. What is missing is refused. The `settled-…` changes end a migration of either
 * direction. A `departed` VM can't be started again: it runs elsewhere, and two copies must never be.
 */
export const machineTransitions: Readonly<
  Record<MachineState, Readonly<Partial<Record<MachineChange, MachineState>>>>
> = {
  absent: { start: "starting", offer: "incoming" },
  stopped: { start: "starting", offer: "incoming", delete: "absent" },
  starting: { started: "running", "start-failed": "absent", exited: "stopped", crashed: "crashed" },
  running: {
    "guest-paused": "paused",
    stop: "stopping",
    exited: "stopped",
    crashed: "crashed",
    migrate: "migrating-out",
  },
  paused: {
    "guest-resumed": "running",
    stop: "stopping",
    exited: "stopped",
    crashed: "crashed",
    migrate: "migrating-out",
  },
  stopping: { exited: "stopped", crashed: "crashed" },
  "migrating-out": {
    "settled-running": "running",
    "settled-paused": "paused",
    "settled-departed": "departed",
    "settled-in-doubt": "in-doubt",
    exited: "stopped",
    crashed: "crashed",
  },
  incoming: {
    "settled-running": "running",
    "settled-paused": "paused",
    "settled-in-doubt": "in-doubt",
    "settled-absent": "absent",
  },
  departed: { offer: "incoming", delete: "absent" },
  crashed: { start: "starting", offer: "incoming", delete: "absent" },
  "in-doubt": {
    "settled-running": "running",
    "settled-paused": "paused",
    "settled-departed": "departed",
    "settled-in-doubt": "in-doubt",
    "settled-absent": "absent",
    exited: "stopped",
    crashed: "crashed",
  },
};

const BUSY: readonly MachineState[] = ["starting", "stopping", "migrating-out", "incoming", "in-doubt"];

const ADVICE: Readonly<Record<MachineState, string>> = {
  absent: "list the VMs of this host with `godwit vm list`",
  stopped: "start it first with `godwit vm start`",
  starting: "wait until it runs",
  running: "stop or migrate it",
  paused: "continue, stop or migrate it",
  stopping: "wait until it has stopped",
  "migrating-out": "wait for its migration to end or cancel it with `godwit cancel`",
  incoming: "wait for its migration to end or cancel it at the source",
  departed: "it runs on another host; forget it here with `godwit vm delete`",
  crashed: "read its log, then start it again or delete it",
  "in-doubt":
    "the link went between commit and its answer: wait until both agents can talk, or decide with `godwit resolve` " +
    "if the other host is lost for good (docs/commit.md)",
};

/** What the reader can do about a VM in that state. */
export function stateAdvice(state: MachineState): string {
  return ADVICE[state];
}

/** Whether somebody is at work on the VM, so that no second piece of work may begin. */
export function isBusy(state: MachineState): boolean {
  return BUSY.includes(state);
}

/**
 * The state after a change.
 * @throws GodwitError `GODWIT_VM_BUSY` while other work on the VM is under way, otherwise `GODWIT_VM_STATE`
 */
export function nextMachineState(name: string, state: MachineState, change: MachineChange): MachineState {
  const next = machineTransitions[state][change];
  if (next !== undefined) return next;
  throw new GodwitError(
    isBusy(state) ? "GODWIT_VM_BUSY" : "GODWIT_VM_STATE",
    `VM "${name}" is ${state}: "${change}" is not possible now`,
    { side: "local", vmState: state, advice: ADVICE[state] },
  );
}
