import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { asGodwitError } from "../base/errors.ts";
import type { RunningMachine } from "../qemu/running-machine.ts";
import type { Credentials } from "../wire/index.ts";
import { Journal, type JournalRecord } from "./journal.ts";
import { askUntilKnown, inquiryOf, LACKS_PAGES } from "./source/commit.ts";
import type { OperatorWord } from "./source/operator-word.ts";
import { QemuSender } from "./source/qemu-sender.ts";

const WAITS_FOR_PAGES = "it is the destination's, which still lacks pages that are here";

/** What becomes of a VM whose migration an earlier agent left open. */
export interface Recovered {
  readonly migrationId: string;
  readonly vm: string;
  readonly role: "source" | "destination";
  /**
   * `here`: it is this host's. `absent`: it never came here. `departed`: it is the peer's. `in-doubt`: the peer
   * has to be asked and `later` tells the outcome.
   */
  readonly as: "here" | "absent" | "departed" | "in-doubt";
  readonly peer: string;
  readonly reason: string;
  readonly later?: Promise<Recovered>;
}

/** What recovery needs of its agent. */
export interface RecoveryOptions {
  /** The folder that holds one folder per migration. */
  readonly folder: string;
  readonly credentials: Credentials;
  readonly hostName: string;
  readonly softwareVersion: string;
  /** The QEMU that runs in a machine's folder, found again, or null. */
  readonly machineIn: (machineFolder: string) => Promise<RunningMachine | null>;
  /** Puts right what reading the devices of a physical machine has left, before its guest goes on. */
  readonly undoOpaque?: ((machine: RunningMachine) => Promise<void>) | undefined;
  /** What an operator says of a migration in doubt, now or later. */
  readonly operatorOf: (migrationId: string) => OperatorWord;
  /** Ends the asking of peers that can't be reached. */
  readonly signal: AbortSignal;
}

/**
 * Settles the migrations that an earlier agent of this host left open, by what their journals have bound it to. The
 * data processes ended with that agent, so before the commit there is nothing to go on with: the source's guest is
 * brought back to running, the destination's QEMU is ended. A source that had promised the commit asks its peer.
 */
export async function recoverMigrations(options: RecoveryOptions): Promise<Recovered[]> {
  const recovered: Recovered[] = [];
  for (const id of readdirSync(options.folder).sort()) {
    const folder = join(options.folder, id);
    if (!existsSync(join(folder, "journal.jsonl"))) continue;
    let record: JournalRecord;
    try {
      record = Journal.read(folder);
    } catch (thrown) {
      process.emitWarning(asGodwitError(thrown, "GODWIT_JOURNAL_UNREADABLE").message);
      continue;
    }
    const outcome =
      record.head.role === "source"
        ? await recoverSource(options, folder, record)
        : await recoverDestination(options, folder, record);
    if (outcome !== null) recovered.push(outcome);
  }
  return recovered;
}

async function recoverSource(
  options: RecoveryOptions,
  folder: string,
  { head, state, entries }: JournalRecord,
): Promise<Recovered | null> {
  if (state === "rolled-back" || state === "released") return null;
  const base = { migrationId: head.migrationId, vm: head.vm, role: "source", peer: head.peer.name } as const;
  const machine = await options.machineIn(head.machineFolder);
  const takeBack = async (reason: string): Promise<Recovered> => {
    if (machine !== null) {
      await options.undoOpaque?.(machine);
      await new QemuSender(machine).rollBack(head.guestPaused, "an earlier agent's", true);
    }
    note(folder, "rolled-back", reason);
    return { ...base, as: machine === null ? "absent" : "here", reason };
  };
  const letGo = async (reason: string): Promise<Recovered> => {
    if (state === "committing") note(folder, "handed-over", reason);
    await machine?.quit();
    note(folder, "released");
    return { ...base, as: "departed", reason };
  };
  if (state === "handed-over") return letGo("the destination runs it");
  // Its QEMU here has pages that are nowhere else: it must not end, whatever runs it.
  if (state === "serving") {
    return { ...base, as: "in-doubt", reason: WAITS_FOR_PAGES };
  }
  if (state !== "committing") return takeBack("the agent ended before the commit");
  const operator = options.operatorOf(head.migrationId);
  const asked = askUntilKnown(inquiryOf(head, options), head.migrationId, options.signal, operator);
  const keep = (): Recovered => {
    note(folder, "serving", "found by a restarted agent");
    return { ...base, as: "in-doubt", reason: WAITS_FOR_PAGES };
  };
  const lacksPages = entries.some(
    ({ state: was, note: said }) => was === "committing" && said === LACKS_PAGES,
  );
  const later = asked.then((outcome) =>
    outcome.kind === "running"
      ? lacksPages
        ? keep()
        : letGo(`${operator.outcome === null ? "the destination" : "an operator"} says that it runs there`)
      : takeBack(`the destination never continued it: ${outcome.error.message}`),
  );
  later.catch(() => {});
  return { ...base, as: "in-doubt", reason: "the agent ended in the middle of the commit", later };
}

async function recoverDestination(
  options: RecoveryOptions,
  folder: string,
  { head, state }: JournalRecord,
): Promise<Recovered | null> {
  if (state === "abandoned" || state === "running" || state === "released") return null;
  const base = {
    migrationId: head.migrationId,
    vm: head.vm,
    role: "destination",
    peer: head.peer.name,
  } as const;
  const machine = await options.machineIn(head.machineFolder);
  if (state !== "committed") {
    await machine?.kill();
    note(folder, "abandoned", "the agent ended before the commit");
    return { ...base, as: "absent", reason: "the agent ended before the commit" };
  }
  if (machine === null) {
    // It may have run and written to its disks: only a person can tell which copy is the right one.
    return {
      ...base,
      as: "absent",
      reason: "its QEMU ended right after the commit; the source keeps its copy",
    };
  }
  const { running } = await machine.qmp.execute("query-status");
  if (!running && !head.guestPaused) await machine.qmp.execute("cont");
  note(folder, "running");
  return { ...base, as: "here", reason: "the commit was complete" };
}

function note(folder: string, state: Parameters<Journal["append"]>[0], reason?: string): void {
  const journal = Journal.reopen(folder);
  try {
    journal.append(state, reason);
  } finally {
    journal.close();
  }
}
