import { PAGE_BYTES } from "./format.ts";

/** What a made-up page holds. */
export type PageKind = "zero" | "text" | "random" | "sparse";

const KINDS: readonly PageKind[] = ["zero", "text", "random", "sparse"];
const WORDS = "the quick brown migration jumps over a lazy page of guest memory and lands on its feet ".split(
  " ",
);
const POOL_BYTES = 65_536;

/** Numbers that look random and are the same each time (mulberry32). */
export function numbersFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** Text that looks written, with a number now and then so that it doesn't repeat. */
export function writeText(target: Buffer, seed: number): void {
  const next = numbersFrom(seed);
  for (let at = 0; at < target.length; ) {
    const number = next();
    const word = number % 7 === 0 ? `${number} ` : `${WORDS[number % WORDS.length]} `;
    at += target.write(word, at, "latin1");
  }
}

const noise = Buffer.alloc(POOL_BYTES + PAGE_BYTES);
const nextNoise = numbersFrom(1);
for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(nextNoise(), at);
const text = Buffer.alloc(POOL_BYTES + PAGE_BYTES);
writeText(text, 2);

/** Fills one page with contents that follow from its address alone; for tests only. */
export function fillPage(target: Buffer, offset: number, block: number, page: number, kind?: PageKind): void {
  const next = numbersFrom(block * 0x9e3779b1 + page * 0x85ebca6b + 1);
  const chosen = kind ?? (KINDS[next() % KINDS.length] as PageKind);
  target.fill(0, offset, offset + PAGE_BYTES);
  if (chosen === "zero") return;
  if (chosen !== "sparse") {
    const pool = chosen === "text" ? text : noise;
    const from = next() % POOL_BYTES;
    pool.copy(target, offset, from, from + PAGE_BYTES);
  }
  target.writeUInt32LE((next() | 1) >>> 0, offset + 4 * (next() % (PAGE_BYTES / 4)));
}

/** Pages of runs, filled by {@link fillPage}, back to back; returns how many. */
export function fillRuns(
  target: Buffer,
  block: number,
  runs: Uint32Array,
  runCount: number,
  kind?: PageKind,
): number {
  let pages = 0;
  for (let index = 0; index < runCount; index += 1) {
    const first = runs[2 * index] as number;
    for (let page = first; page < first + (runs[2 * index + 1] as number); page += 1) {
      fillPage(target, pages * PAGE_BYTES, block, page, kind);
      pages += 1;
    }
  }
  return pages;
}
