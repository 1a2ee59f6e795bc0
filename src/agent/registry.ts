import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import type { Logger } from "pino";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import {
  checkedName,
  describedBy,
  type MachineEntry,
  machineInfo,
  recordEntry,
  unknownMachine,
} from "./machine-entry.ts";
import { readMachineRecord } from "./machine-record.ts";
import {
  isBusy,
  type MachineChange,
  type MachineState,
  nextMachineState,
  stateAdvice,
} from "./machine-state.ts";
import type { MachineDescription, MachineDriver, MachineExit, MachineHandle } from "./ports.ts";
import { type MachineInfo, machineNamePattern } from "./schemas.ts";

/** How a migration left a VM on this host. */
export type Settlement<Native> =
  | { readonly as: "here"; readonly handle?: MachineHandle<Native>; readonly reason?: string }
  | { readonly as: "departed"; readonly movedTo: string }
  | { readonly as: "in-doubt"; readonly reason: string; readonly handle?: MachineHandle<Native> }
  | { readonly as: "absent" };

/** The VMs of this host: their folders, their QEMUs, their states. All changes go through the transition table. */
export class MachineRegistry<Native> {
  readonly #folder: string;
  readonly #driver: MachineDriver<Native>;
  readonly #log: Logger;
  readonly #entries = new Map<string, MachineEntry<Native>>();

  /** @param folder the `machines` folder of the agent's state */
  constructor(options: { folder: string; driver: MachineDriver<Native>; log: Logger }) {
    this.#folder = options.folder;
    this.#driver = options.driver;
    this.#log = options.log;
  }

  /** The folder of one VM. */
  folderOf(name: string): string {
    return join(this.#folder, name);
  }

  /**
   * Finds the VMs of an earlier agent: every folder becomes an entry, with its QEMU where one still runs. A VM
   * whose migration was open comes back as it was left (`migrating-out`, `incoming`, `in-doubt`), for the
   * recovery to settle.
   */
  async load(): Promise<void> {
    for (const name of readdirSync(this.#folder)) {
      if (!machineNamePattern.test(name)) continue;
      try {
        await this.#loadOne(name);
      } catch (error) {
        this.#log.error({ vm: name, err: error }, "a VM could not be found again");
        const entry = this.#add(name, unknownMachine(name), "crashed");
        entry.reason = asGodwitError(error, "GODWIT_MACHINE_STATE").message;
      }
    }
  }

  async #loadOne(name: string): Promise<void> {
    const folder = this.folderOf(name);
    const record = readMachineRecord(folder);
    const handle = await this.#driver.adopt(folder);
    if (handle === null && record === null) return;
    const description = handle?.description ?? { ...unknownMachine(name), ...describedBy(record) };
    const entry = this.#add(name, description, record?.state ?? "running");
    entry.since = record?.since ?? entry.since;
    entry.movedTo = record?.movedTo ?? null;
    entry.reason = record?.reason ?? null;
    entry.migrationId = record?.migrationId ?? null;
    const underMigration = ["migrating-out", "incoming", "in-doubt"].includes(entry.state);
    if (handle === null) {
      if (["running", "paused", "starting", "stopping"].includes(entry.state)) {
        entry.reason = "QEMU ended while no agent ran";
        this.#set(entry, "crashed");
      }
      return;
    }
    this.#hold(entry, handle);
    if (!underMigration) entry.migrationId = null;
    if (!underMigration) this.#set(entry, (await handle.guestRuns()) ? "running" : "paused");
    this.#log.info({ vm: name, pid: handle.pid, state: entry.state }, "VM found again");
  }

  /** Every VM, by name. */
  list(): MachineInfo[] {
    return [...this.#entries.values()].map(machineInfo).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws GodwitError `GODWIT_VM_UNKNOWN` */
  show(name: string): MachineInfo {
    return machineInfo(this.#entry(name));
  }

  /** The state of a VM, `absent` where the name is not known. */
  stateOf(name: string): MachineState {
    return this.#entries.get(name)?.state ?? "absent";
  }

  /** The QEMU of the VM that has that folder, where one runs. */
  nativeIn(folder: string): Native | null {
    return this.#entries.get(basename(folder))?.handle?.native ?? null;
  }

  /** Memory of the VMs on their way here, in bytes: it is promised, but may not be in use yet. */
  memoryPromisedBytes(): number {
    let bytes = 0;
    for (const entry of this.#entries.values()) {
      const { memoryBytes, hugePages = false } = entry.description;
      if (entry.state === "incoming" && !hugePages) bytes += memoryBytes;
    }
    return bytes;
  }

  /** Starts the VM that a machine file describes; relative paths in it are relative to `baseFolder`. */
  async start(text: string, baseFolder: string): Promise<MachineInfo> {
    const description = this.#driver.parse(text, baseFolder);
    const name = checkedName(description.name);
    const entry = this.#entries.get(name) ?? this.#add(name, description, "absent");
    entry.description = description;
    this.#change(entry, "start");
    const folder = this.folderOf(name);
    try {
      await this.#refuseLiving(name);
      this.#hold(entry, await this.#driver.start(description, folder));
    } catch (error) {
      const failure = asGodwitError(error, "GODWIT_VM_START", { side: "local", vmState: "not started" });
      this.#notStarted(entry, failure);
      throw failure;
    }
    this.#change(entry, "started");
    await this.#lookAtGuest(entry);
    return machineInfo(entry);
  }

  /** Ends a VM's QEMU. */
  async stop(name: string): Promise<MachineInfo> {
    const entry = this.#entry(name);
    this.#change(entry, "stop");
    const handle = entry.handle;
    if (handle !== null) {
      await handle.stop();
      await handle.exited;
    }
    if (entry.state === "stopping") this.#ended(entry, null);
    return machineInfo(entry);
  }

  /**
   * What can be read out of a physical machine's devices.
   * @throws GodwitError `GODWIT_VM_BUSY` while it is on its way, `GODWIT_VM_STATE` without a QEMU, `GODWIT_METAL_…`
   */
  async captureDevices(name: string): Promise<unknown> {
    const { handle, state } = this.#entry(name);
    // What a migration needs a running VM for, this does too.
    nextMachineState(name, state, "migrate");
    if (handle === null)
      throw new GodwitError("GODWIT_VM_STATE", `VM "${name}" has no QEMU`, { vmState: state });
    return await handle.captureDevices();
  }

  /** Forgets a VM that does not run, with its folder. */
  remove(name: string): void {
    this.#change(this.#entry(name), "delete");
  }

  /**
   * Takes a VM for a migration away from here.
   * @throws GodwitError `GODWIT_VM_BUSY`, `GODWIT_VM_STATE`, `GODWIT_VM_UNKNOWN`
   */
  beginOutgoing(name: string, migrationId: string): MachineHandle<Native> {
    const entry = this.#entry(name);
    const state = nextMachineState(name, entry.state, "migrate");
    if (entry.handle === null) {
      throw new GodwitError("GODWIT_VM_STATE", `VM "${name}" has no QEMU`, { vmState: entry.state });
    }
    entry.migrationId = migrationId;
    this.#set(entry, state);
    return entry.handle;
  }

  /**
   * Takes a name for a migration to here.
   * @throws GodwitError `GODWIT_VM_EXISTS` when a VM of that name is here and alive
   */
  async beginIncoming(description: MachineDescription, migrationId: string): Promise<void> {
    const name = checkedName(description.name);
    const known = this.#entries.get(name);
    if (known !== undefined && (known.handle !== null || isBusy(known.state))) {
      throw new GodwitError("GODWIT_VM_EXISTS", `a VM "${name}" is ${known.state} on this host already`, {
        side: "destination",
        vmState: "running at the source",
        advice: stateAdvice(known.state),
      });
    }
    const entry = known ?? this.#add(name, description, "absent");
    const state = nextMachineState(name, entry.state, "offer");
    entry.description = description;
    entry.migrationId = migrationId;
    entry.movedTo = null;
    this.#set(entry, state);
    try {
      await this.#refuseLiving(name);
    } catch (error) {
      const failure = asGodwitError(error, "GODWIT_VM_EXISTS", { side: "destination" });
      this.#notStarted(entry, failure);
      throw failure;
    }
    rmSync(this.folderOf(name), { recursive: true, force: true });
    mkdirSync(this.folderOf(name), { recursive: true, mode: 0o700 });
    this.#set(entry, state);
  }

  /** Ends a migration's hold on a VM, in either direction and also when recovery found out late. */
  async settle(name: string, settlement: Settlement<Native>): Promise<void> {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.migrationId = settlement.as === "in-doubt" ? entry.migrationId : null;
    entry.reason = "reason" in settlement ? (settlement.reason ?? null) : null;
    switch (settlement.as) {
      case "absent":
        this.#release(entry);
        return this.#change(entry, "settled-absent");
      case "in-doubt":
        if (settlement.handle !== undefined) this.#hold(entry, settlement.handle);
        return this.#change(entry, "settled-in-doubt");
      case "departed":
        entry.movedTo = settlement.movedTo;
        this.#release(entry);
        return this.#change(entry, "settled-departed");
      case "here":
        if (settlement.handle !== undefined) this.#hold(entry, settlement.handle);
        return await this.#settleHere(entry);
    }
  }

  /** Ends the QEMU of a VM in doubt that is the other host's. */
  async endDeparted(name: string, movedTo: string): Promise<void> {
    const { handle } = this.#entry(name);
    await handle?.stop();
    await handle?.exited;
    await this.settle(name, { as: "departed", movedTo });
  }

  async #settleHere(entry: MachineEntry<Native>): Promise<void> {
    const handle = entry.handle;
    if (handle === null || !handle.runs()) {
      this.#ended(entry, handle === null ? null : await handle.exited);
      return;
    }
    const runs = await handle.guestRuns().catch(() => false);
    this.#change(entry, runs ? "settled-running" : "settled-paused");
  }

  /** Lets go of every QEMU without ending it. */
  release(): void {
    for (const entry of this.#entries.values()) this.#release(entry);
  }

  #entry(name: string): MachineEntry<Native> {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new GodwitError("GODWIT_VM_UNKNOWN", `no VM "${name}" on this host`, {
      side: "local",
      advice: stateAdvice("absent"),
    });
  }

  #add(name: string, description: MachineDescription, state: MachineState): MachineEntry<Native> {
    const entry: MachineEntry<Native> = {
      name,
      state,
      since: new Date().toISOString(),
      description,
      handle: null,
      forget: () => {},
      migrationId: null,
      movedTo: null,
      reason: null,
    };
    this.#entries.set(name, entry);
    return entry;
  }

  #hold(entry: MachineEntry<Native>, handle: MachineHandle<Native>): void {
    entry.handle = handle;
    entry.description = handle.description;
    const forget = handle.onGuest((what) => {
      if (entry.handle !== handle) return;
      if (what === "guest-paused" && entry.state === "running") this.#change(entry, what);
      if (what === "guest-resumed" && entry.state === "paused") this.#change(entry, what);
    });
    entry.forget = () => {
      forget();
      handle.release();
    };
    handle.exited.then(
      (exit) => {
        if (entry.handle !== handle) return;
        this.#log.info({ vm: entry.name, exit }, "QEMU ended");
        if (["running", "paused", "stopping", "starting"].includes(entry.state)) this.#ended(entry, exit);
      },
      (error) => this.#log.error({ vm: entry.name, err: error }, "waiting for QEMU's end failed"),
    );
  }

  /** A folder whose QEMU lives is never reused, whatever the registry believes. */
  async #refuseLiving(name: string): Promise<void> {
    const folder = this.folderOf(name);
    if (!existsSync(folder)) return;
    const living = await this.#driver.adopt(folder);
    if (living === null) return;
    living.release();
    throw new GodwitError(
      "GODWIT_VM_EXISTS",
      `a QEMU of "${name}" runs here already, process ${living.pid}`,
      {
        vmState: "unchanged",
        advice: "restart the agent, so that it finds that QEMU, or end the process",
      },
    );
  }

  /** Leaves nothing of a VM that never ran, but keeps the folder of one that may still live. */
  #notStarted(entry: MachineEntry<Native>, failure: GodwitError): void {
    this.#release(entry);
    entry.migrationId = null;
    const mayLive = [
      "GODWIT_VM_EXISTS",
      "GODWIT_MACHINE_RUNNING",
      "GODWIT_MACHINE_BUSY",
      "GODWIT_MACHINE_STATE",
      "GODWIT_MACHINE_UNREACHABLE",
    ];
    if (!mayLive.includes(failure.code)) {
      this.#change(entry, entry.state === "incoming" ? "settled-absent" : "start-failed");
      return;
    }
    entry.state = "crashed";
    entry.reason = failure.message;
  }

  async #lookAtGuest(entry: MachineEntry<Native>): Promise<void> {
    const runs = await entry.handle?.guestRuns().catch(() => true);
    if (runs === false && entry.state === "running") this.#change(entry, "guest-paused");
  }

  #ended(entry: MachineEntry<Native>, exit: MachineExit | null): void {
    this.#release(entry);
    const wanted = entry.state === "stopping";
    const crashed = !wanted && exit !== null && (exit.code !== 0 || exit.signal !== null);
    entry.migrationId = null;
    entry.reason = crashed
      ? `QEMU ended with ${exit.signal ?? `code ${exit.code}`}`
      : wanted
        ? null
        : "QEMU ended by itself: the guest powered off or QEMU was ended from outside";
    this.#change(entry, entry.state === "incoming" ? "settled-absent" : crashed ? "crashed" : "exited");
  }

  #release(entry: MachineEntry<Native>): void {
    entry.forget();
    entry.forget = () => {};
    entry.handle = null;
  }

  #change(entry: MachineEntry<Native>, change: MachineChange): void {
    this.#set(entry, nextMachineState(entry.name, entry.state, change));
  }

  #set(entry: MachineEntry<Native>, state: MachineState): void {
    if (entry.state !== state) entry.since = new Date().toISOString();
    entry.state = state;
    this.#log.debug({ vm: entry.name, state }, "VM state");
    const folder = this.folderOf(entry.name);
    if (state === "absent") {
      this.#entries.delete(entry.name);
      rmSync(folder, { recursive: true, force: true });
      return;
    }
    if (state === "starting" || !existsSync(folder)) return;
    recordEntry(folder, entry);
  }
}
