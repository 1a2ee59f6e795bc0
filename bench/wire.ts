/**
 * Rates of the wire's codec and of bulk connections end to end, beside the figures that the design rests on.
 *
 *     node bench/wire.ts [--memory FILE] [--seconds 1] [--repeat 3]
 *
 * FILE is a dump of guest memory (QMP `pmemsave`); without it text-like pages are made up. Tables go to stdout,
 * and one JSON line per row after them.
 */
import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { crc32 } from "node:zlib";
import { writeText } from "../src/wire/bulk/test-pages.ts";
import {
  BatchDecoder,
  BatchEncoder,
  isZeroPage,
  MAXIMUM_BATCH_PAGES,
  PAGE_BYTES,
} from "../src/wire/index.ts";
import { measureConnections, type WireMode } from "./wire/connections.ts";
import { earlierFigures } from "./wire/earlier.ts";
import { median } from "./wire/median.ts";

const BATCH_BYTES = MAXIMUM_BATCH_PAGES * PAGE_BYTES;
const CORPUS_BATCHES = 24;

const { values } = parseArgs({
  options: {
    memory: { type: "string" },
    seconds: { type: "string", default: "1" },
    repeat: { type: "string", default: "3" },
  },
});
const seconds = Number(values.seconds);
const repeat = Number(values.repeat);

const corpus = values.memory === undefined ? madeUpPages() : dumpedPages(values.memory);
console.log(
  `${cpus()[0]?.model}, ${cpus().length} cores, load ${loadavg()[0]?.toFixed(2)}; node ${process.version}, ` +
    `zstd ${process.versions.zstd}, openssl ${process.versions.openssl}; ` +
    `${values.memory ?? "made-up text"}, ${repeat} repeats, medians`,
);
const rows: object[] = [];

console.log("\none thread, 1 MiB batches                  GB/s   µs/page   size left");
const batches = Array.from({ length: CORPUS_BATCHES }, (_, index) =>
  Buffer.from(corpus, index * BATCH_BYTES, BATCH_BYTES),
);
const runs = new Uint32Array([0, MAXIMUM_BATCH_PAGES]);
const zeros = Buffer.alloc(BATCH_BYTES);
const noise = crypto.getRandomValues(new Uint8Array(65_536));
const random = Buffer.alloc(BATCH_BYTES);
for (let at = 0; at < BATCH_BYTES; at += noise.length) random.set(crypto.getRandomValues(noise), at);
const copy = Buffer.alloc(BATCH_BYTES);
part("copy", (batch) => void batch.copy(copy));
part("crc32", (batch) => void crc32(batch));
part("zero test, content", (batch) => zeroTest(batch));
part("zero test, zeros", () => zeroTest(zeros));
codec("none", new BatchEncoder({ compression: "none" }));
codec("zeros", new BatchEncoder(), zeros);
codec("zstd 1", new BatchEncoder({ level: 1 }));
codec("zstd 2", new BatchEncoder({ level: 2 }));
codec("zstd 3", new BatchEncoder({ level: 3 }));
codec("zstd -2", new BatchEncoder({ level: -2 }));
codec("zstd 1, random", new BatchEncoder({ level: 1 }), random);

console.log(
  "\ntwo threads a side, TLS over loopback      GB/s   CPU s/GB send/receive   size on wire   earlier",
);
const modes: readonly WireMode[] = [
  { name: "none", compression: "none", level: 1 },
  { name: "zstd 1", compression: "zstd", level: 1 },
  { name: "zstd 3", compression: "zstd", level: 3 },
  { name: "zstd -2", compression: "zstd", level: -2 },
  { name: "auto", compression: "auto", level: 1 },
];
for (const mode of modes) {
  const results = [];
  for (let index = 0; index < repeat; index += 1) {
    results.push(await measureConnections({ mode, corpus, seconds, connections: 2 }));
  }
  const row = {
    bench: "wire-connections",
    mode: mode.name,
    gigabytesPerSecond: median(results.map((result) => result.gigabytesPerSecond)),
    sendCpuSecondsPerGigabyte: median(results.map((result) => result.sendCpuSecondsPerGigabyte)),
    receiveCpuSecondsPerGigabyte: median(results.map((result) => result.receiveCpuSecondsPerGigabyte)),
    sizeOnWire: median(results.map((result) => result.sizeOnWire)),
    repeats: repeat,
  };
  rows.push(row);
  console.log(
    mode.name.padEnd(41),
    row.gigabytesPerSecond.toFixed(2).padStart(5),
    `${row.sendCpuSecondsPerGigabyte.toFixed(2)}/${row.receiveCpuSecondsPerGigabyte.toFixed(2)}`.padStart(13),
    row.sizeOnWire.toFixed(3).padStart(20),
    `        ${earlierFigures[mode.name] ?? ""}`,
  );
}
console.log(`\nload ${loadavg()[0]?.toFixed(2)} at the end`);
for (const row of rows) console.log(JSON.stringify(row));

function codec(name: string, encoder: BatchEncoder, content?: Buffer): void {
  const frames: Buffer[] = [];
  part(
    `encode ${name}`,
    (batch) => void encoder.encode(0, runs, 1, content ?? batch),
    () => {
      const { frameBytes, pages } = encoder.counters;
      return frameBytes / (pages * PAGE_BYTES);
    },
  );
  const fresh = new BatchEncoder({
    compression: name === "none" ? "none" : "zstd",
    level: Number(/-?\d/.exec(name)?.[0] ?? 1),
  });
  const rounds = repeat + 1;
  for (let index = 0; index < rounds * CORPUS_BATCHES; index += 1) {
    const batch = content ?? (batches[index % CORPUS_BATCHES] as Buffer);
    frames.push(Buffer.from(fresh.encode(0, runs, 1, batch)));
    if (frames.length > 4 * CORPUS_BATCHES) break;
  }
  let next = 0;
  const decoder = new BatchDecoder([MAXIMUM_BATCH_PAGES], { onBatch() {} });
  const times: number[] = [];
  while (next < frames.length) {
    const begin = performance.now();
    decoder.push(frames[next] as Buffer);
    times.push(performance.now() - begin);
    next += 1;
  }
  report(`decode ${name}`, median(times));
}

function part(name: string, work: (batch: Buffer) => void, sizeLeft?: () => number): void {
  const times: number[] = [];
  for (const batch of batches) work(batch);
  for (let index = 0; index < repeat; index += 1) {
    const begin = performance.now();
    for (const batch of batches) work(batch);
    times.push((performance.now() - begin) / batches.length);
  }
  report(name, median(times), sizeLeft?.());
}

function report(name: string, msPerBatch: number, sizeLeft?: number): void {
  const gigabytesPerSecond = BATCH_BYTES / 1e6 / msPerBatch;
  const microsecondsPerPage = (1000 * msPerBatch) / MAXIMUM_BATCH_PAGES;
  rows.push({
    bench: "wire-codec",
    name,
    gigabytesPerSecond,
    microsecondsPerPage,
    sizeLeft,
    repeats: repeat,
  });
  console.log(
    name.padEnd(40),
    gigabytesPerSecond.toFixed(2).padStart(6),
    microsecondsPerPage.toFixed(3).padStart(9),
    sizeLeft === undefined ? "" : sizeLeft.toFixed(4).padStart(11),
  );
}

function zeroTest(batch: Buffer): void {
  for (let page = 0; page < MAXIMUM_BATCH_PAGES; page += 1) isZeroPage(batch, page * PAGE_BYTES);
}

function madeUpPages(): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(CORPUS_BATCHES * BATCH_BYTES);
  writeText(Buffer.from(shared), 1);
  return shared;
}

/** Pages of a dump that aren't zero, taken evenly from all over it. */
function dumpedPages(path: string): SharedArrayBuffer {
  const dump = readFileSync(path);
  const used: number[] = [];
  for (let at = 0; at + PAGE_BYTES <= dump.length; at += PAGE_BYTES) if (!isZeroPage(dump, at)) used.push(at);
  const shared = new SharedArrayBuffer(CORPUS_BATCHES * BATCH_BYTES);
  const bytes = Buffer.from(shared);
  const stride = Math.max(1, Math.floor(used.length / MAXIMUM_BATCH_PAGES / CORPUS_BATCHES));
  for (let batch = 0; batch < CORPUS_BATCHES; batch += 1) {
    for (let page = 0; page < MAXIMUM_BATCH_PAGES; page += 1) {
      const at = used[(batch * stride * MAXIMUM_BATCH_PAGES + page) % used.length] ?? 0;
      dump.copy(bytes, batch * BATCH_BYTES + page * PAGE_BYTES, at, at + PAGE_BYTES);
    }
  }
  return shared;
}
