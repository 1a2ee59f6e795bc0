import { PAGE_BYTES } from "./format.ts";

/** What a made-up page holds. */
export type PageKind = "zero" | "text" | "random" | "sparse";

const KINDS: readonly PageKind[] = ["zero", "text", "random", "sparse"];
const WORDS = "the quick brown migration jumps over a lazy page of guest memory and lands on its feet ".split(
  " ",
);

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

/** Fills one page with contents that follow from its address alone; for tests and benchmarks. */
export function fillPage(target: Buffer, offset: number, block: number, page: number, kind?: PageKind): void {
  const next = numbersFrom(block * 0x9e3779b1 + page * 0x85ebca6b + 1);
  const chosen = kind ?? (KINDS[next() % KINDS.length] as PageKind);
  target.fill(0, offset, offset + PAGE_BYTES);
  if (chosen === "text") {
    let at = offset;
    while (at < offset + PAGE_BYTES) {
      const number = next();
      const word = number % 7 === 0 ? `${number} ` : `${WORDS[number % WORDS.length]} `;
      at += target.write(word, at, Math.min(word.length, offset + PAGE_BYTES - at), "latin1");
    }
  } else if (chosen === "random") {
    for (let at = offset; at < offset + PAGE_BYTES; at += 4) target.writeUInt32LE(next(), at);
  } else if (chosen === "sparse") {
    target.writeUInt32LE((next() | 1) >>> 0, offset + 4 * (next() % (PAGE_BYTES / 4)));
  }
}

/** Pages of runs, filled by {@link fillPage}, back to back. */
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
