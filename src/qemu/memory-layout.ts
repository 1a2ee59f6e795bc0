import { readFileSync } from "node:fs";
import { asGodwitError } from "../base/errors.ts";
import type { WaitOptions } from "../base/waiting.ts";
import { GuestMemory } from "./guest-memory.ts";
import { firstUnreadable, isUntouched, type Mapping, mappedFile, readMappings } from "./memory-mappings.ts";
import type { MemorySource } from "./memory-source.ts";
import type { ProcessIdentity } from "./process-table.ts";
import { parseGuestToHost, parseRamBlocks, type RamBlockListing } from "./ram-blocks.ts";
import type { RunningMachine } from "./running-machine.ts";

export type { MemorySource } from "./memory-source.ts";

/** A RAM block whose contents only QEMU's stream can give. */
export interface UnreadableBlock {
  readonly block: string;
  readonly usedBytes: number;
  readonly pageSizeBytes: number;
  readonly reason: string;
}

/** What can be read of a guest's memory from outside. */
export interface MemorySurvey {
  readonly sources: readonly MemorySource[];
  readonly unreadable: readonly UnreadableBlock[];
}

/** Every RAM block of a machine, in QEMU's own order. @throws GodwitError `GODWIT_QMP_…` when QEMU can't be asked */
export async function ramBlocksOf(
  { qmp }: Pick<RunningMachine, "qmp">,
  options: WaitOptions = {},
): Promise<RamBlockListing[]> {
  return parseRamBlocks(
    await qmp.execute("human-monitor-command", { "command-line": "info ramblock" }, options),
  );
}

/**
 * The RAM blocks that can be read from outside; see {@link surveyMemory} for the others and the reasons.
 * @throws GodwitError `GODWIT_QMP_…` when QEMU can't be asked
 */
export async function memoryLayout(
  machine: RunningMachine,
  options: WaitOptions = {},
): Promise<MemorySource[]> {
  return [...(await surveyMemory(machine, options)).sources];
}

/**
 * Finds out how each RAM block of a running machine can be read from outside: in its memory file where it has one,
 * else in the memory of the process. Host addresses come from `info ramblock` or, from versions that don't tell them
 * there, from `gpa2hva 0` for the main block only: it starts at guest address 0, and is one piece in QEMU's address
 * space even where the guest sees a hole below 4 GiB. What can't be read, for lack of permission for instance, is
 * named with its reason and is no error.
 * @throws GodwitError `GODWIT_QMP_…` when QEMU can't be asked
 */
export async function surveyMemory(
  machine: RunningMachine,
  options: WaitOptions = {},
): Promise<MemorySurvey> {
  const ask = (line: string) =>
    machine.qmp.execute("human-monitor-command", { "command-line": line }, options);
  const listed = await ramBlocksOf(machine, options);
  if (listed.some((block) => block.hostAddress !== null)) return surveyBlocks(listed, machine.identity);
  const main = parseGuestToHost(await ask("gpa2hva 0"));
  const blocks = listed.map((block) => {
    return block.name === main?.block ? { ...block, hostAddress: main.hostAddress } : block;
  });
  return surveyBlocks(blocks, machine.identity);
}

/**
 * The RAM blocks of a machine that waits for its guest that can be written from outside and are zero throughout: private
 * memory of the process that it has not touched. A QEMU that waits does not fill even its ROMs, since the guest brings
 * what is in them. None where writing is not permitted, which is no error.
 * @throws GodwitError `GODWIT_QMP_…` when QEMU can't be asked
 */
export async function untouchedMemory(
  machine: RunningMachine,
  options: WaitOptions = {},
): Promise<readonly MemorySource[]> {
  const { sources } = await surveyMemory(machine, options);
  try {
    const smaps = readFileSync(`/proc/${machine.identity.pid}/smaps`, "utf8");
    return sources
      .filter(({ source, usedBytes }) => {
        return (
          source.kind === "process" && isUntouched(smaps, source.hostAddress, source.hostAddress + usedBytes)
        );
      })
      .filter(takesWrites);
  } catch {
    return [];
  }
}

/** Tries with the first page, by writing what it holds: nobody else writes to it before the machine runs. */
function takesWrites(source: MemorySource): boolean {
  let memory: GuestMemory | undefined;
  try {
    memory = new GuestMemory([source], "read and write");
    const page = Buffer.alloc(4096);
    memory.read(0, 0, 1, page, 0);
    memory.write(0, 0, 1, page, 0);
    return true;
  } catch {
    return false;
  } finally {
    memory?.close();
  }
}

/**
 * Decides for each of these blocks of a process how it can be read: all of it must be mapped readable, and its first
 * and last page are read once.
 */
export function surveyBlocks(blocks: readonly RamBlockListing[], process: ProcessIdentity): MemorySurvey {
  const sources: MemorySource[] = [];
  const unreadable: UnreadableBlock[] = [];
  const refuse = ({ name, usedBytes, pageSizeBytes }: RamBlockListing, reason: string) => {
    unreadable.push({ block: name, usedBytes, pageSizeBytes, reason });
  };
  let mappings: Mapping[];
  try {
    mappings = readMappings(process.pid);
  } catch (error) {
    for (const block of blocks) refuse(block, (error as Error).message);
    return { sources, unreadable };
  }
  for (const block of blocks) {
    const found = sourceOf(block, process, mappings);
    if (typeof found === "string") {
      refuse(block, found);
      continue;
    }
    const problem = trialProblem(found);
    if (problem === null) sources.push(found);
    else refuse(block, problem);
  }
  return { sources, unreadable };
}

/** How to read a block, or why it can't be. */
function sourceOf(
  { name: block, usedBytes, pageSizeBytes, hostAddress }: RamBlockListing,
  process: ProcessIdentity,
  mappings: readonly Mapping[],
): MemorySource | string {
  if (hostAddress === null) return "this QEMU does not tell where it is";
  if (usedBytes === 0) return "it is empty";
  const end = hostAddress + usedBytes;
  const hole = firstUnreadable(mappings, hostAddress, end);
  if (hole !== null) return `address 0x${hole.toString(16)} of the process is not mapped`;
  const file = mappedFile(process.pid, mappings, hostAddress, end);
  const source =
    file === null ? { kind: "process" as const, process, hostAddress } : { kind: "file" as const, ...file };
  return { block, usedBytes, pageSizeBytes, source };
}

function trialProblem(source: MemorySource): string | null {
  let memory: GuestMemory | undefined;
  try {
    memory = new GuestMemory([source]);
    const page = Buffer.alloc(4096);
    const pages = Math.floor(source.usedBytes / 4096);
    memory.read(0, 0, 1, page, 0);
    memory.read(0, pages - 1, 1, page, 0);
    return null;
  } catch (error) {
    return asGodwitError(error, "GODWIT_GUEST_MEMORY").message;
  } finally {
    memory?.close();
  }
}
