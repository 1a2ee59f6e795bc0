import { readFileSync } from "node:fs";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";

/** In the machine's folder, so that it goes where the machine goes and ends with it. */
const FILE = "learned-pages";

/** Pages kept at most: beyond the first requests of some sixteen moves nothing new comes, and it is 128 KiB. */
export const MOST_LEARNED_PAGES = 16_384;

/**
 * The pages that a guest asked for first after earlier moves: what it needs to come to life, which dirtying doesn't
 * tell, since most of them are only read. Pairs of RAM block and page in the order of the first request; what was
 * once asked for stays, since a page that was sent in time is not asked for again.
 * @returns an empty list where there is none or it makes no sense
 */
export function readLearnedPages(machineFolder: string): Uint32Array {
  try {
    return learnedFrom(readFileSync(join(machineFolder, FILE)));
  } catch {
    return new Uint32Array();
  }
}

/** Keeps the list with the machine. */
export function writeLearnedPages(machineFolder: string, learned: Uint32Array): void {
  writeFileAtomic.sync(join(machineFolder, FILE), Buffer.from(bytesOf(learned)), { mode: 0o600 });
}

/** A list as it crosses the wire and lies on disk: u32, little-endian. */
export function bytesOf(learned: Uint32Array): Uint8Array {
  return new Uint8Array(learned.buffer, learned.byteOffset, learned.byteLength);
}

/** The list in such bytes; what is too long or torn is cut off. */
export function learnedFrom(bytes: Uint8Array): Uint32Array {
  const pairs = Math.min(MOST_LEARNED_PAGES, bytes.length >> 3);
  return new Uint32Array(Uint8Array.from(bytes.subarray(0, 8 * pairs)).buffer);
}

/** Earlier requests, then the new ones that were not among them. */
export function uniteLearned(earlier: Uint32Array, requests: readonly number[]): Uint32Array {
  const known = new Set<string>();
  const united: number[] = [];
  const add = (block: number, page: number) => {
    const key = `${block} ${page}`;
    if (known.has(key) || united.length >= 2 * MOST_LEARNED_PAGES) return;
    known.add(key);
    united.push(block, page);
  };
  for (let at = 0; at + 1 < earlier.length; at += 2) add(earlier[at]!, earlier[at + 1]!);
  for (let at = 0; at + 1 < requests.length; at += 2) add(requests[at]!, requests[at + 1]!);
  return Uint32Array.from(united);
}
