import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { PageBitmap } from "../../pages/index.ts";
import { type StreamHandler, StreamReader } from "../../stream/index.ts";
import { composeHead } from "./composed-stream.ts";
import { Placer } from "./placer.ts";
import { WriteLock } from "./write-lock.ts";

const HUGE = 2 * 1024 ** 2;
const blocks = [
  { name: "small", usedBytes: 100 * 4096, pageSizeBytes: 4096 },
  { name: "ram", usedBytes: 3 * HUGE, pageSizeBytes: HUGE },
];
const configuration = Uint8Array.of(0x07, 0, 0, 0, 2, 0x70, 0x63);

/** A placer over a file, and what a reader of QEMU's stream makes of what it wrote. */
class Rig implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "godwit-placer-"));
  readonly #path = join(this.#folder, "stream");
  readonly #file = openSync(this.#path, "w");
  readonly #bitmaps = () => blocks.map(({ usedBytes }) => new PageBitmap(usedBytes / 4096));
  readonly requested = this.#bitmaps();
  readonly placed = this.#bitmaps();
  readonly listening = new Int32Array(new SharedArrayBuffer(4));
  readonly answered: string[] = [];
  readonly placer: Placer;

  constructor() {
    const buffers = (bitmaps: readonly PageBitmap[]) => bitmaps.map(({ buffer }) => buffer);
    const [requested, placed] = [buffers(this.requested), buffers(this.placed)];
    const listening = this.listening.buffer as SharedArrayBuffer;
    const input = { sectionId: 2, blocks, requested, placed, memory: [], listening };
    this.placer = new Placer(input, new WriteLock(), this.#file);
    this.placer.onAnswered = (block, page) => this.answered.push(`${block} ${page}`);
  }

  /** A batch of one run, every other page of it zero. */
  batch(block: number, first: number, pages: number): void {
    const zeros = Uint8Array.from({ length: pages }, (_, index) => index % 2);
    const contents = Buffer.alloc(Math.ceil(pages / 2) * 4096, 7);
    this.placer.onBatch(block, Uint32Array.of(first, pages), 1, zeros, contents);
  }

  /** The pages of each section that was written, as block, first and count. */
  sections(): string[] {
    const sections: string[] = [];
    let pages: number[] = [];
    let inBlock = -1;
    const note = (block: number, page: number) => {
      inBlock = block;
      pages.push(page);
    };
    const handler: StreamHandler = {
      page: note,
      zeroPage: note,
      ramSectionEnd: (kind) => {
        if (kind === "part") sections.push(`${inBlock} ${pages[0]} ${pages.length}`);
        pages = [];
      },
    };
    const reader = new StreamReader(handler);
    reader.push(composeHead(configuration, 2, blocks));
    reader.push(readFileSync(this.#path));
    return sections;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
    rmSync(this.#folder, { recursive: true });
  }
}

test("before QEMU listens each batch is a section, whatever the host's pages", () => {
  using rig = new Rig();
  rig.batch(1, 500, 20);
  rig.batch(0, 3, 5);
  assert.deepEqual(rig.sections(), ["1 500 20", "0 3 5"]);
});

test("once it listens a larger host page is one section, and its request is answered when that is written", () => {
  using rig = new Rig();
  rig.listening[0] = 1;
  rig.requested[1]!.set(512);
  rig.batch(1, 512, 256);
  assert.deepEqual([rig.sections(), rig.answered, rig.placed[1]!.count()], [[], [], 0]);
  rig.batch(1, 768, 256);
  assert.deepEqual([rig.sections(), rig.answered], [["1 512 512"], ["1 512"]]);
  assert.equal(rig.placed[1]!.countRange(512, 1024), 512);
  rig.batch(0, 3, 5);
  rig.batch(1, 0, 256);
  rig.batch(1, 256, 256);
  assert.deepEqual(rig.sections(), ["1 512 512", "0 3 5", "1 0 512"]);
});

const wrong: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  "begins in its middle": [[256, 256]],
  "has a gap": [
    [0, 256],
    [257, 255],
  ],
  "goes on in another one": [
    [0, 256],
    [512, 256],
  ],
  "reaches beyond its end": [[0, 513]],
};

for (const [name, batches] of Object.entries(wrong)) {
  test(`a host page that ${name} is refused, and nothing of it is written`, () => {
    using rig = new Rig();
    rig.listening[0] = 1;
    const all = () => {
      for (const [first, pages] of batches) rig.batch(1, first, pages);
    };
    assert.throws(all, { code: "GODWIT_BULK_FRAME" });
    assert.deepEqual(rig.sections(), []);
  });
}
