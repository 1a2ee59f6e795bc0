import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { GodwitError } from "../base/errors.ts";

/**
 * What a side has bound itself to, in the order it may happen.
 *
 * Source: `started` → `committing` (the promise never to continue the guest without a refusal) → `handed-over`
 * or `refused` → `released`; `rolled-back` ends it before `committing` or after `refused`. With post-copy `serving`
 * comes before `handed-over`: the guest is the destination's, and its QEMU here has pages that the other lacks.
 * Destination: `accepted` → `prepared` → `committed` (from here on the guest is ours) → `running` → `released`;
 * `abandoned` ends it before `committed`: it will never be committed any more.
 */
const journalStates = [
  "started",
  "committing",
  "refused",
  "serving",
  "handed-over",
  "rolled-back",
  "accepted",
  "prepared",
  "committed",
  "running",
  "abandoned",
  "released",
] as const;

/** One state of {@link journalStates}. */
export type JournalState = (typeof journalStates)[number];

const headSchema = z.object({
  migrationId: z.string(),
  role: z.enum(["source", "destination"]),
  vm: z.string(),
  machineFolder: z.string(),
  /** The other side: where to ask for the outcome. */
  peer: z.object({ name: z.string(), host: z.string().optional(), port: z.number().optional() }),
  /** The guest was paused by its user before the migration, and must stay so. */
  guestPaused: z.boolean().default(false),
});

/** What a journal says of its migration as a whole. */
export type JournalHead = z.output<typeof headSchema>;

const entrySchema = z.object({ at: z.string(), state: z.enum(journalStates), note: z.string().optional() });

/** One line of a journal. */
export type JournalEntry = z.infer<typeof entrySchema>;

/** A journal as read back. */
export interface JournalRecord {
  readonly head: JournalHead;
  readonly entries: readonly JournalEntry[];
  /** The last state: what the side is bound to. */
  readonly state: JournalState;
}

const FILE = "journal.jsonl";

/**
 * The journal of one migration on one side: JSON lines, each on stable storage before {@link append} returns,
 * because the commit protocol (`docs/commit.md`) acts on what is written here after a crash.
 */
export class Journal {
  readonly #descriptor: number;
  #state: JournalState;
  #closed = false;

  private constructor(descriptor: number, state: JournalState) {
    this.#descriptor = descriptor;
    this.#state = state;
  }

  /**
   * Begins a journal in a migration's folder, which is made if need be.
   * @throws GodwitError `GODWIT_JOURNAL_EXISTS` when there is one already: a migration id is used once
   */
  static create(folder: string, head: JournalHead, state: "started" | "accepted"): Journal {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    let descriptor: number;
    try {
      descriptor = openSync(join(folder, FILE), "ax", 0o600);
    } catch (error) {
      throw new GodwitError("GODWIT_JOURNAL_EXISTS", `migration ${head.migrationId} has a journal already`, {
        cause: error,
      });
    }
    writeSync(descriptor, `${JSON.stringify(headSchema.parse(head))}\n`);
    const journal = new Journal(descriptor, state);
    journal.append(state);
    syncFolder(folder);
    syncFolder(dirname(folder));
    return journal;
  }

  /** Goes on with a journal found after a restart, behind its last whole line. */
  static reopen(folder: string): Journal {
    const { state } = Journal.read(folder);
    const path = join(folder, FILE);
    truncateSync(path, readFileSync(path).lastIndexOf("\n") + 1);
    return new Journal(openSync(path, "a", 0o600), state);
  }

  /**
   * Reads a journal. A last line torn by a crash is as if it had never been written.
   * @throws GodwitError `GODWIT_JOURNAL_UNREADABLE`
   */
  static read(folder: string): JournalRecord {
    const unreadable = (why: string, cause?: unknown) =>
      new GodwitError("GODWIT_JOURNAL_UNREADABLE", `the journal in ${folder} can't be read: ${why}`, {
        advice: "look at the file; the VM's own state folder tells whether its QEMU runs",
        cause,
      });
    let lines: string[];
    try {
      lines = readFileSync(join(folder, FILE), "utf8").split("\n");
    } catch (error) {
      throw unreadable("there is no file", error);
    }
    lines.pop();
    const [first, ...rest] = lines;
    if (first === undefined || rest.length === 0) throw unreadable("it has no entry");
    try {
      const head = headSchema.parse(JSON.parse(first));
      const entries = rest.map((line) => entrySchema.parse(JSON.parse(line)));
      return { head, entries, state: entries.at(-1)!.state };
    } catch (error) {
      throw unreadable("a line is not what a journal holds", error);
    }
  }

  get state(): JournalState {
    return this.#state;
  }

  /** Binds this side to a state: on stable storage when it returns. */
  append(state: JournalState, note?: string): void {
    const entry: JournalEntry = {
      at: new Date().toISOString(),
      state,
      ...(note === undefined ? {} : { note }),
    };
    writeSync(this.#descriptor, `${JSON.stringify(entry)}\n`);
    fsyncSync(this.#descriptor);
    this.#state = state;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#descriptor);
  }
}

/** A new file is safe only when its folder's entry is. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
