/**
 * Throughput of the stream codec in GB/s of guest memory: `node bench/stream.ts`. It takes some 15 s. What it reads
 * is a synthetic stream of 2 GB in which every eighth page is zero, repeated from 16 MiB in memory.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readSync } from "node:fs";
import { cpus, release } from "node:os";
import {
  beginRamPart,
  endRamSection,
  PAGE_BYTES,
  type RamBlock,
  RamSectionWriter,
  ramSectionBytes,
  StreamReader,
  type StreamReaderOptions,
  writeHeader,
  writePage,
  writeRamStart,
  writeZeroPage,
} from "../src/stream/index.ts";

const STREAM_BYTES = 2e9;
const REPEATS = 5;
const CHUNK_BYTES = 1024 ** 2;
const SECTION_PAGES = 4096;
const SECTION_ID = 2;
const BLOCKS: RamBlock[] = [{ name: "pc.ram", usedBytes: 2 ** 31, pageSizeBytes: PAGE_BYTES }];

interface Figure {
  readonly name: string;
  readonly gigabytesPerSecond: number;
  readonly cpuSecondsPerGigabyte: number;
}

/** The bytes before the first RAM part, and one part that may be repeated. */
function synthetic(): { start: Buffer; part: Buffer; pages: number } {
  const start = Buffer.alloc(1024);
  const part = Buffer.alloc(SECTION_PAGES * (PAGE_BYTES + 8) + 1024);
  const page = Buffer.alloc(PAGE_BYTES, 0xa5);
  let at = beginRamPart(part, 0, SECTION_ID);
  for (let number = 0; number < SECTION_PAGES; number++) {
    const name = number === 0 ? "pc.ram" : undefined;
    at =
      number % 8 === 0 ? writeZeroPage(part, at, name, number) : writePage(part, at, name, number, page, 0);
  }
  at = endRamSection(part, at, SECTION_ID);
  const startBytes = writeRamStart(start, writeHeader(start, 0), SECTION_ID, BLOCKS);
  return { start: start.subarray(0, startBytes), part: part.subarray(0, at), pages: SECTION_PAGES };
}

function countingReader(options: StreamReaderOptions): { reader: StreamReader; pages: () => number } {
  let pages = 0;
  let sum = 0;
  const handler = {
    page(_block: number, page: number, content: Uint8Array, offset: number) {
      pages++;
      sum += page + (content[offset] ?? 0);
    },
    zeroPage(_block: number, page: number) {
      pages++;
      sum += page;
    },
  };
  return { reader: new StreamReader(handler, options), pages: () => (sum < 0 ? 0 : pages) };
}

/** Pushes the stream in chunks that lie in memory. @returns bytes pushed */
function readFromMemory(options: StreamReaderOptions): number {
  const { start, part, pages } = synthetic();
  const { reader, pages: counted } = countingReader(options);
  reader.push(start);
  const parts = Math.ceil(STREAM_BYTES / part.length);
  for (let turn = 0; turn < parts; turn++) {
    for (let at = 0; at < part.length; at += CHUNK_BYTES) reader.push(part.subarray(at, at + CHUNK_BYTES));
  }
  if (counted() !== parts * pages) throw new Error("pages were lost");
  return parts * part.length;
}

/** Composes sections of 256 pages. @returns bytes written */
function composeSections(): number {
  const writer = new RamSectionWriter(SECTION_ID, BLOCKS, Buffer.alloc(ramSectionBytes(256)));
  const source = Buffer.alloc(256 * PAGE_BYTES, 0xa5);
  let bytes = 0;
  while (bytes < STREAM_BYTES) {
    writer.begin();
    for (let page = 0; page < 256; page++) {
      if (page % 8 === 0) writer.zero(0, page);
      else writer.page(0, page, source, page * PAGE_BYTES);
    }
    bytes += writer.finish().length;
  }
  return bytes;
}

/** The child: reads its stdin, as the data process reads QEMU's socket, and prints its figure. */
function readStdin(options: StreamReaderOptions): void {
  const { reader } = countingReader(options);
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let bytes = 0;
  let begin = 0;
  for (;;) {
    const length = readSync(0, chunk);
    if (bytes === 0) begin = performance.now();
    if (length === 0) break;
    bytes += length;
    reader.push(chunk.subarray(0, length));
  }
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage();
  console.log(JSON.stringify({ bytes, seconds, cpuSeconds: (user + system) / 1e6 }));
}

async function throughChild(mode: string): Promise<Figure> {
  const child = spawn(process.execPath, [import.meta.filename, mode], { stdio: ["pipe", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (text: Buffer) => {
    output += text.toString();
  });
  const { start, part } = synthetic();
  child.stdin.write(start);
  for (let sent = 0; sent < STREAM_BYTES; sent += part.length) {
    if (!child.stdin.write(part)) await once(child.stdin, "drain");
  }
  child.stdin.end();
  await once(child, "close");
  const { bytes, seconds, cpuSeconds } = JSON.parse(output) as Record<
    "bytes" | "seconds" | "cpuSeconds",
    number
  >;
  return {
    name: `child process, stdin, ${mode === "--contents" ? "contents" : "addresses only"}`,
    gigabytesPerSecond: bytes / seconds / 1e9,
    cpuSecondsPerGigabyte: cpuSeconds / (bytes / 1e9),
  };
}

function measured(name: string, work: () => number): Figure {
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const bytes = work();
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    name,
    gigabytesPerSecond: bytes / seconds / 1e9,
    cpuSecondsPerGigabyte: (user + system) / 1e6 / (bytes / 1e9),
  };
}

/** The middle one of several runs by rate. */
async function median(run: () => Figure | Promise<Figure>): Promise<Figure> {
  const figures: Figure[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) figures.push(await run());
  figures.sort((a, b) => a.gigabytesPerSecond - b.gigabytesPerSecond);
  return figures[REPEATS >> 1]!;
}

if (process.argv[2] !== undefined) {
  readStdin({ contents: process.argv[2] === "--contents" });
} else {
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release(), node: process.version };
  console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`);
  console.log(`${STREAM_BYTES / 1e9} GB in chunks of ${CHUNK_BYTES / 1024} KiB, median of ${REPEATS} runs`);
  const figures: Figure[] = [];
  for (const run of [
    () => measured("memory, contents", () => readFromMemory({})),
    () => measured("memory, addresses only", () => readFromMemory({ contents: false })),
    () => measured("compose sections of 256 pages", composeSections),
    () => throughChild("--contents"),
    () => throughChild("--addresses"),
  ]) {
    const figure = await median(run);
    figures.push(figure);
    const rate = figure.gigabytesPerSecond.toFixed(2).padStart(7);
    console.log(`${rate} GB/s  ${figure.cpuSecondsPerGigabyte.toFixed(3)} CPU s/GB  ${figure.name}`);
  }
  console.log(
    JSON.stringify({ bench: "stream", machine, streamBytes: STREAM_BYTES, repeats: REPEATS, figures }),
  );
}
