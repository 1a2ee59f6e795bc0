import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eachPage } from "../../pages/index.ts";
import { MAXIMUM_FRAME_BYTES, pageArea } from "../../wire/bulk/format.ts";
import { Ledger } from "../ledger.ts";
import { Push } from "../push.ts";
import { Bubble } from "./bubble.ts";
import { type FaultConnection, FaultServer, type PageReader } from "./fault-server.ts";

const PAGES = 2000;
const PAGE_BYTES = 4096;

interface Sent {
  readonly block: number;
  readonly pages: number[];
  readonly alone: boolean;
}

/** Two RAM blocks in which each page is filled with its own number, and a destination that looks at every byte. */
class Rig implements FaultConnection {
  readonly ledger = Ledger.create([
    { name: "ram", pages: PAGES },
    { name: "vga", pages: 100 },
  ]);
  readonly sent: Sent[] = [];
  readonly server: FaultServer;
  /** What happens while the server waits for a frame buffer. */
  meanwhile: () => void = () => {};
  readonly #frame = Buffer.alloc(MAXIMUM_FRAME_BYTES);

  constructor(bubble: Bubble = new Bubble(32)) {
    this.server = new FaultServer(this.ledger, bubble, this, Rig.#read);
  }

  owe(block: number, ...ranges: readonly [from: number, to: number][]): this {
    for (const [from, to] of ranges) this.ledger.blocks[block]!.owed.setRange(from, to);
    return this;
  }

  zero(block: number, ...ranges: readonly [from: number, to: number][]): this {
    for (const [from, to] of ranges) this.ledger.blocks[block]!.zero.setRange(from, to);
    return this;
  }

  /** Asks for a page and has everything answered. */
  async fault(block: number, page: number): Promise<void> {
    this.server.request(block, page, 1);
    await this.server.work();
  }

  async ready(): Promise<Buffer> {
    await Promise.resolve();
    this.meanwhile();
    return this.#frame.fill(0xee);
  }

  send(block: number, runs: Uint32Array, pages: number, frame: Buffer, alone: boolean): void {
    const list = [...eachPage(runs)];
    assert.equal(list.length, pages);
    const contents = pageArea(frame);
    list.forEach((page, index) => {
      const expected = this.isZero(block, page) ? 0 : contentOf(block, page);
      const bytes = contents.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES);
      assert.ok(bytes.equals(Buffer.alloc(PAGE_BYTES, expected)), `page ${page} came with other contents`);
    });
    this.sent.push({ block, pages: list, alone });
  }

  /** Whether the page was zero at the beginning; what is sent has left that set. */
  isZero: (block: number, page: number) => boolean = () => false;

  static readonly #read: PageReader = (block, first, count, into, offset) => {
    for (let page = first; page < first + count; page++, offset += PAGE_BYTES) {
      into.fill(contentOf(block, page), offset, offset + PAGE_BYTES);
    }
    return count * PAGE_BYTES;
  };
}

function contentOf(block: number, page: number): number {
  return 1 + ((block * 7 + page) % 250);
}

function pagesFrom(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

test("the page that is asked for goes alone first, then what is owed around it", async () => {
  const rig = new Rig().owe(0, [490, 503], [510, 600]);
  await rig.fault(0, 500);
  assert.deepEqual(rig.sent, [
    { block: 0, pages: [500], alone: true },
    { block: 0, pages: [...pagesFrom(490, 500), 501, 502, ...pagesFrom(510, 516)], alone: false },
  ]);
  assert.equal(rig.server.bubblePages, 18);
  assert.equal(rig.ledger.faults, 1);
  assert.deepEqual(rig.ledger.lastFault, { block: 0, page: 500 });
  assert.equal(rig.ledger.backlogPages(), 13 + 90);
});

test("a page with nothing owed around it goes alone and nothing follows", async () => {
  const rig = new Rig().owe(1, [99, 100]);
  await rig.fault(1, 99);
  assert.deepEqual(rig.sent, [{ block: 1, pages: [99], alone: true }]);
  assert.equal(rig.server.bubblePages, 0);
});

test("a request that comes with one that needs no answer is answered", async () => {
  const rig = new Rig().owe(0, [500, 501]);
  rig.server.request(0, 700, 1);
  const nothingToDo = rig.server.work();
  rig.server.request(0, 500, 1);
  await Promise.all([nothingToDo, rig.server.work()]);
  assert.deepEqual(rig.sent, [{ block: 0, pages: [500], alone: true }]);
});

test("a page that was sent while QEMU found it zero is not placed again beside a zero page", async () => {
  const rig = new Rig().zero(0, [500, 510]);
  rig.isZero = () => true;
  rig.ledger.blocks[0]!.sent.set(505);
  await rig.fault(0, 500);
  assert.deepEqual(
    rig.sent.map(({ pages }) => pages),
    [[...pagesFrom(500, 505), ...pagesFrom(506, 510)]],
  );
});

test("pages that push takes meanwhile are not sent again", async () => {
  const rig = new Rig().owe(0, [490, 520]);
  let calls = 0;
  rig.meanwhile = () => {
    calls += 1;
    if (calls === 2) rig.ledger.blocks[0]!.owed.clearRange(495, 520);
  };
  await rig.fault(0, 500);
  assert.deepEqual(
    rig.sent.map(({ pages }) => pages),
    [[500], pagesFrom(490, 495)],
  );
});

test("a page that push takes before the answer's turn is on its way and not sent again", async () => {
  const rig = new Rig().owe(0, [490, 520]);
  rig.meanwhile = () => rig.ledger.blocks[0]!.owed.clear(500);
  await rig.fault(0, 500);
  assert.deepEqual(rig.sent, []);
  assert.equal(rig.ledger.faults, 0);
});

test("a page that is asked for twice goes once", async () => {
  const rig = new Rig(new Bubble(1)).owe(0, [500, 501]).zero(0, [900, 901]);
  rig.isZero = (_, page) => page === 900;
  for (const page of [500, 900, 500, 900]) rig.server.request(0, page, 1);
  await rig.server.work();
  await rig.fault(0, 500);
  assert.deepEqual(
    rig.sent.map(({ pages }) => pages),
    [[500], [900]],
  );
});

test("a zero page is answered with the zero pages around it", async () => {
  const rig = new Rig().zero(0, [400, 700]).owe(0, [510, 520]);
  rig.ledger.blocks[0]!.zero.clearRange(510, 520);
  rig.isZero = (_, page) => page < 510 || page >= 520;
  await rig.fault(0, 500);
  assert.deepEqual(rig.sent, [
    { block: 0, pages: [...pagesFrom(468, 510), ...pagesFrom(520, 596)], alone: true },
  ]);
  assert.equal(rig.ledger.owedPages(), 10);
  assert.equal(rig.ledger.faults, 1);
});

test("zero pages are looked for within the RAM block only", async () => {
  const rig = new Rig().zero(1, [0, 100]);
  rig.isZero = () => true;
  await rig.fault(1, 3);
  await rig.fault(1, 99);
  assert.deepEqual(
    rig.sent.flatMap(({ pages }) => pages),
    pagesFrom(0, 100),
  );
});

test("a request for what is neither owed nor zero sends nothing, is told and is remembered", async () => {
  const rig = new Rig().owe(0, [490, 500]);
  let underWay = 0;
  rig.server.onUnderWay = () => {
    underWay += 1;
  };
  await rig.fault(0, 500);
  assert.deepEqual(rig.sent, []);
  assert.equal(underWay, 1);
  assert.equal(rig.ledger.faults, 0);
  assert.ok(rig.ledger.blocks[0]!.requested.has(500));
  assert.deepEqual(rig.server.learned, [0, 500]);
});

test("a request for many pages asks for each of them, in order", async () => {
  const rig = new Rig(new Bubble(1)).owe(1, [3, 5], [8, 9]);
  rig.server.request(1, 2, 8);
  await rig.server.work();
  assert.deepEqual(
    rig.sent.map(({ pages }) => pages),
    [[3], [4], [8]],
  );
  assert.deepEqual(
    rig.server.learned,
    pagesFrom(2, 10).flatMap((page) => [1, page]),
  );
});

test("requests that come amid an answer are answered by the same work", async () => {
  const rig = new Rig(new Bubble(1)).owe(0, [0, 100]);
  const later = [50, 60, 70];
  rig.meanwhile = () => {
    const page = later.shift();
    if (page !== undefined) rig.server.request(0, page, 1);
  };
  rig.server.request(0, 40, 1);
  await Promise.all([rig.server.work(), rig.server.work()]);
  assert.deepEqual(
    rig.sent.map(({ pages }) => pages),
    [[40], [50], [60], [70]],
  );
});

test("pages that are not there can't be asked for, nor none at all", () => {
  const { server, ledger } = new Rig().owe(0, [0, PAGES]);
  for (const [block, first, count] of [
    [2, 0, 1],
    [65_535, 0, 1],
    [0, PAGES, 1],
    [0, PAGES - 1, 2],
    [0, 0xffff_ffff, 65_535],
    [1, 100, 1],
    [0, 0, 0],
  ] as const) {
    assert.throws(() => server.request(block, first, count), { code: "GODWIT_PAGE_REQUEST" });
  }
  assert.equal(ledger.blocks[0]!.requested.count(), 0);
  server.request(0, PAGES - 1, 1);
});

test("more than 4096 requests that wait are refused as a flood, and as many that were answered are none", async () => {
  const rig = new Rig(new Bubble(1));
  for (let turn = 0; turn < 3; turn++) {
    rig.owe(0, [7, 8]);
    for (let request = 0; request < 4096; request++) rig.server.request(0, 7, 1);
    if (turn < 2) await rig.server.work();
  }
  assert.equal(rig.sent.length, 2);
  assert.throws(() => rig.server.request(0, 7, 1), { code: "GODWIT_PAGE_REQUEST" });
});

test("the first thousand requests are remembered in their order, whether answered or not", () => {
  const { server } = new Rig().owe(0, [0, 3]);
  for (const page of [5, 1, 5]) server.request(0, page, 1);
  server.request(1, 9, 1);
  assert.deepEqual(server.learned, [0, 5, 0, 1, 0, 5, 1, 9]);
  server.request(0, 10, 995);
  server.request(1, 8, 3);
  assert.equal(server.learned.length, 2000);
  assert.deepEqual(server.learned.slice(-4), [0, 1004, 1, 8]);
});

test("why the connection broke comes out of the work, and the next work goes on", async () => {
  const rig = new Rig(new Bubble(1)).owe(0, [0, 10]);
  rig.meanwhile = () => {
    throw new Error("gone");
  };
  rig.server.request(0, 1, 1);
  rig.server.request(0, 2, 1);
  await assert.rejects(rig.server.work(), /gone/);
  rig.meanwhile = () => {};
  await rig.server.work();
  assert.deepEqual(
    rig.sent.map(({ pages }) => pages),
    [[2]],
  );
});

test("whatever is asked for and pushed in any order, everything owed is sent once and nothing twice", async () => {
  const somePage = fc.oneof(fc.nat(150), fc.nat(PAGES - 1));
  const range = fc.record({ block: fc.nat(1), from: somePage, length: fc.integer({ min: 1, max: 200 }) });
  const event = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("ask" as const), at: range }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("push" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("pause" as const) }) },
  );
  const some = fc.array(range, { maxLength: 8 });
  const bubblePages = fc.option(fc.integer({ min: 1, max: 256 }));
  await fc.assert(
    fc.asyncProperty(
      some,
      some,
      bubblePages,
      fc.array(event, { maxLength: 50 }),
      async (owed, zero, fixed, events) => {
        const rig = new Rig(new Bubble(fixed));
        const { blocks } = rig.ledger;
        /** What each page is at the source, by "block page". */
        const model = new Map<string, "owed" | "zero">();
        const asked = new Set<string>();
        const sent = new Set<string>();
        const clip = ({ block, from, length }: { block: number; from: number; length: number }) => {
          const { pages } = blocks[block]!;
          const first = from % pages;
          return { block, first, count: Math.min(length, pages - first) };
        };
        for (const [ranges, kind] of [
          [owed, "owed"],
          [zero, "zero"],
        ] as const) {
          for (const range of ranges) {
            const { block, first, count } = clip(range);
            for (let page = first; page < first + count; page++) {
              const key = `${block} ${page}`;
              if (model.has(key)) continue;
              model.set(key, kind);
              blocks[block]![kind].set(page);
            }
          }
        }
        rig.isZero = (block, page) => model.get(`${block} ${page}`) === "zero";
        const goes = (block: number, page: number) => {
          const key = `${block} ${page}`;
          assert.ok(model.has(key), `page ${key} is neither owed nor zero`);
          assert.ok(!sent.has(key), `page ${key} went twice`);
          sent.add(key);
        };
        const push = new Push(rig.ledger);
        const pushOne = (): boolean => {
          const batch = push.take(0);
          for (const page of eachPage(batch?.runs ?? new Uint32Array())) goes(batch!.block, page);
          return batch !== null;
        };
        /** Events up to the next pause. */
        const happen = () => {
          for (let next = events.shift(); next !== undefined; next = events.shift()) {
            if (next.do === "pause") return;
            if (next.do === "push") pushOne();
            else {
              const { block, first, count } = clip(next.at);
              rig.server.request(block, first, count);
              for (let page = first; page < first + count; page++) asked.add(`${block} ${page}`);
            }
          }
        };
        rig.meanwhile = happen;
        let looked = 0;
        const look = () => {
          for (; looked < rig.sent.length; looked++) {
            const { block, pages } = rig.sent[looked]!;
            for (const page of pages) goes(block, page);
          }
        };
        while (events.length > 0) {
          happen();
          await rig.server.work();
          look();
        }
        for (const key of asked) assert.ok(sent.has(key) || !model.has(key), `page ${key} was not answered`);
        while (pushOne());
        assert.equal(rig.ledger.owedPages(), 0);
        for (const [key, kind] of model) {
          assert.ok(sent.has(key) || kind === "zero", `page ${key} was owed and never sent`);
        }
        assert.equal(rig.ledger.sentPages, sent.size);
        assert.equal(rig.ledger.resentPages, 0);
      },
    ),
    { numRuns: 60 },
  );
});
