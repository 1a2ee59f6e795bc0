import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { countPages, PageBitmap } from "./index.ts";

/** Enough for hundreds of collisions on two free cores; the second bound ends a run in which pages got lost. */
const NEW_PAGES = 100_000;
const MAX_ROUNDS = 1_000_000;

const PREPARE = `import { workerData } from "node:worker_threads";
  const { PageBitmap, countPages } = await import(workerData.module);
  const { counters, takers, pattern, room } = workerData;
  const bitmap = PageBitmap.fromShared(workerData.bitmap);
  const [added, finished, taken, ready] = [0, 1, 2, 3];
  const isFinished = () => Atomics.load(counters, finished) === 1;`;

/** Sets pages, once all takers are ready. */
const SETTER = `${PREPARE}
  for (let seen = 0; seen < takers; seen = Atomics.load(counters, ready)) Atomics.wait(counters, ready, seen);
  for (let round = 0; Atomics.load(counters, added) < ${NEW_PAGES} && round < ${MAX_ROUNDS}; round++) {
    if (pattern === "range") Atomics.add(counters, added, bitmap.setRange(round % 32, bitmap.pageCount));
    else for (let page = 0; page < bitmap.pageCount; page += 1024) Atomics.add(counters, added, +bitmap.set(page));
  }
  Atomics.store(counters, finished, 1);`;

/** Takes runs until the setter has finished and nothing is found. */
const TAKER = `${PREPARE}
  const out = new Uint32Array(2 * room);
  Atomics.add(counters, ready, 1);
  Atomics.notify(counters, ready);
  for (let runs = 1, last = false; runs > 0 || !last; ) {
    last = isFinished();
    runs = bitmap.takeRuns(0, bitmap.pageCount, 256, out);
    Atomics.add(counters, taken, countPages(out, runs));
  }`;

/** Takes every second page by itself, from above, which tears up the runs that others see. */
const CLEARER = `${PREPARE}
  Atomics.add(counters, ready, 1);
  Atomics.notify(counters, ready);
  while (!isFinished()) {
    for (let page = bitmap.pageCount - 1; page >= 0; page -= 2) Atomics.add(counters, taken, +bitmap.clear(page));
  }`;

function thread(code: string, workerData: object): Promise<void> {
  const worker = new Worker(code, {
    eval: true,
    execArgv: ["--input-type=module"],
    workerData: { ...workerData, module: new URL("./index.ts", import.meta.url).href },
  });
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("exit", () => resolve());
  });
}

interface Contest {
  readonly pageCount: number;
  readonly pattern: "range" | "single";
  /** Runs that fit into a taker's array. */
  readonly room: number;
  readonly takers: readonly string[];
}

const CONTESTS: Readonly<Record<string, Contest>> = {
  "single pages, alone in their stretch, and one taker": {
    pageCount: 8192,
    pattern: "single",
    room: 4,
    takers: [TAKER],
  },
  "ranges of pages and two takers": { pageCount: 8000, pattern: "range", room: 4, takers: [TAKER, TAKER] },
  "ranges, a taker of single runs and one of single pages": {
    pageCount: 320,
    pattern: "range",
    room: 1,
    takers: [TAKER, CLEARER],
  },
};

for (const [what, { takers, pageCount, ...contest }] of Object.entries(CONTESTS)) {
  test(`no page is lost or taken twice between threads: ${what}`, async () => {
    const bitmap = new PageBitmap(pageCount);
    const counters = new Int32Array(new SharedArrayBuffer(16));
    const shared = { ...contest, bitmap: bitmap.buffer, counters, takers: takers.length };
    await Promise.all([SETTER, ...takers].map((code) => thread(code, shared)));
    const rest = new Uint32Array(pageCount);
    const restPages = countPages(rest, bitmap.takeRuns(0, pageCount, pageCount, rest));
    // A page that is put in while a taker has it for a moment and gives it back was added twice and is in once.
    if (contest.room === 1) assert.ok(counters[2]! + restPages <= counters[0]!);
    else assert.equal(counters[2]! + restPages, counters[0]);
    assert.equal(bitmap.count(), 0);
    assert.equal(bitmap.countRange(0, pageCount), 0);
  });
}
