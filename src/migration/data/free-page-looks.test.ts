import assert from "node:assert/strict";
import { test } from "node:test";
import { GuestHelper } from "../../hints/index.ts";
import { encodeFrame } from "../../hints/protocol.ts";
import {
  afterHello,
  answerTo,
  type Behaviour,
  FakeHelper,
  listPayload,
} from "../../hints/testing/fake-helper.ts";
import { Ledger } from "../ledger.ts";
import { Scheduler } from "../scheduler.ts";
import { type FreePageLook, FreePageLooks, type LookMoment } from "./free-page-looks.ts";

const PAGES = 40_000;

/** All of it takes milliseconds; a test that waits for what won't come shall fail and not hang. */
const PATIENCE_MS = 20_000;

/** A guest's helper, a ledger and what the looks did to the rest of a migration. */
class Scene implements AsyncDisposable {
  readonly ledger = Ledger.create([{ name: "ram", pages: PAGES }]);
  readonly happened: string[] = [];
  readonly looks: FreePageLooks;
  readonly helper: FakeHelper;
  readonly #connected: Promise<GuestHelper>;
  #wake: () => void = () => {};
  #begun = 0;

  private constructor(helper: FakeHelper, first: Uint32Array) {
    this.helper = helper;
    const begin = this.ledger.beginScan.bind(this.ledger);
    this.ledger.beginScan = () => {
      this.#begun += 1;
      begin();
    };
    const pieces = [{ firstGuestPage: 0, pages: PAGES, block: "ram", firstBlockPage: 0 }];
    this.#connected = GuestHelper.connect(helper.path, PAGES);
    this.looks = new FreePageLooks(
      this.#connected,
      {
        pieces,
        first: { source: "any", lists: first.length === 0 ? [] : [{ block: "ram", runs: first }], tookMs: 1 },
      },
      {
        defer: (sets) => this.#say(sets === null ? "defer nothing" : `defer ${sets[0]!.count()}`),
        looked: (look: FreePageLook) => this.#say(`listed ${look.listedPages} dropped ${look.droppedPages}`),
        readCloser: () => this.#say("read closer"),
        settled: () => this.#say("settled"),
        gaveUp: (error) => this.#say(error.code),
      },
    );
    this.looks.attach(this.ledger);
  }

  /** @param first what the guest said was free before the migration */
  static async open(behaviour: Behaviour, ...first: number[]): Promise<Scene> {
    return new Scene(await FakeHelper.listen(behaviour), Uint32Array.from(first));
  }

  #say(what: string): void {
    this.happened.push(what);
    this.#wake();
  }

  /** Ticks like the data process until so much has happened. */
  async until(count: number, moment: Partial<LookMoment> = {}): Promise<string[]> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.happened.length < count) {
      assert.ok(performance.now() < deadline, `only this happened: ${this.happened.join(", ")}`);
      this.tick(moment);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 5);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.happened.splice(0);
  }

  tick(moment: Partial<LookMoment>): void {
    this.looks.tick({
      ...{ nowMs: 0, firstPassDone: false, held: false, starving: false, holding: false },
      ...moment,
    });
  }

  /** The guest isn't asked at this moment. */
  assertNoLook(moment: Partial<LookMoment>): void {
    const before = this.#begun;
    this.tick(moment);
    assert.equal(this.#begun, before, "a look began");
    assert.deepEqual(this.happened, []);
  }

  list(from: number, to: number): void {
    for (let page = from; page < to; page++) this.ledger.list(0, page);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.looks.end();
    (await this.#connected).close();
    await this.helper[Symbol.asyncDispose]();
  }
}

const says = (...runs: number[]) => afterHello((seen) => answerTo(seen, listPayload(runs, 4)));

test("what was free before waits, and the look after the first pass drops what still is", async () => {
  await using scene = await Scene.open(says(100, 300), 100, 400);
  assert.deepEqual(await scene.until(1), ["defer 400"]);
  scene.list(0, PAGES);
  assert.deepEqual(await scene.until(3, { firstPassDone: true }), [
    "listed 300 dropped 300",
    "defer nothing",
    "settled",
  ]);
  assert.equal(scene.ledger.freePages(), 300);
});

test("while QEMU lists there are looks only when nothing else can leave, and not one after the other", async () => {
  await using scene = await Scene.open(says(0, 20_000), 0, 20_000);
  await scene.until(1);
  scene.list(0, 5_000);
  scene.assertNoLook({ nowMs: 5_000 });
  assert.deepEqual(await scene.until(2, { nowMs: 5_000, starving: true }), [
    "listed 20000 dropped 5000",
    "defer 20000",
  ]);
  scene.list(5_000, 10_000);
  scene.assertNoLook({ nowMs: 5_100, starving: true });
  await scene.until(2, { nowMs: 9_000, starving: true });
});

test("looks become more and more seldom while QEMU lists, but not where it is held for one", async () => {
  await using scene = await Scene.open(says(0, 30_000), 0, 30_000);
  await scene.until(1);
  for (const [look, atMs] of [1_000, 11_000, 21_000].entries()) {
    scene.list(5_000 * look, 5_000 * (look + 1));
    await scene.until(2, { nowMs: atMs, starving: true });
  }
  scene.list(15_000, 20_000);
  scene.assertNoLook({ nowMs: 21_000 + 700, starving: true });
  await scene.until(2, { nowMs: 21_000 + 700, held: true, starving: true });
});

test("looks at a slow guest take half of its time at most while QEMU lists", async () => {
  const SLOW_MS = 300;
  const slow = afterHello((seen, socket) => {
    setTimeout(() => socket.write(answerTo(seen, listPayload([0, 30_000], 4))), SLOW_MS);
    return null;
  });
  await using scene = await Scene.open(slow, 0, 30_000);
  await scene.until(1);
  scene.list(0, 5_000);
  await scene.until(2, { nowMs: 1_000, starving: true });
  scene.list(5_000, 10_000);
  scene.assertNoLook({ nowMs: 1_000 + SLOW_MS + 250, starving: true });
});

test("a guest that said nothing before is asked at once, and what it names waits from then on", async () => {
  await using scene = await Scene.open(says(0, 20_000));
  assert.deepEqual(await scene.until(1), ["defer 0"]);
  scene.list(0, 5_000);
  assert.deepEqual(await scene.until(2, { nowMs: 100 }), ["listed 20000 dropped 5000", "defer 20000"]);
  scene.list(5_000, PAGES);
  scene.assertNoLook({ nowMs: 9_000 });
  assert.deepEqual(await scene.until(3, { nowMs: 9_000, firstPassDone: true }), [
    "listed 20000 dropped 15000",
    "defer nothing",
    "settled",
  ]);
});

test("a QEMU that is held until pages leave is looked for however few wait, but not where none does", async () => {
  await using scene = await Scene.open(says(0, 100), 0, 100);
  await scene.until(1);
  scene.list(0, 60);
  scene.assertNoLook({ nowMs: 1_000, starving: true });
  assert.deepEqual(await scene.until(2, { nowMs: 2_000, held: true, starving: true }), [
    "listed 100 dropped 60",
    "defer 100",
  ]);
  // What is under way holds it then.
  scene.assertNoLook({ nowMs: 4_000, held: true, starving: true });
});

test("pages that the guest took meanwhile wait no longer, and the others do", async () => {
  await using scene = await Scene.open(says(0, 60), 0, 100);
  await scene.until(1);
  scene.list(70, 80);
  assert.deepEqual(await scene.until(2, { nowMs: 1_000, held: true, starving: true }), [
    "listed 60 dropped 0",
    "defer 60",
  ]);
});

test("where QEMU is held and a look lets no page go, none waits for another", async () => {
  let again = () => {};
  const behaviour = afterHello((seen) => {
    again();
    return answerTo(seen, listPayload([0, 100], 4));
  });
  await using scene = await Scene.open(behaviour, 0, 100);
  again = () => scene.list(60, 61);
  await scene.until(1);
  scene.list(60, 61);
  assert.deepEqual(await scene.until(3, { nowMs: 1_000, held: true, starving: true }), [
    "listed 100 dropped 0",
    "defer nothing",
    "settled",
  ]);
});

test("what was sent once does not wait, since it can't be left out any more", async () => {
  await using scene = await Scene.open(says(0, 5_000), 0, 2_000);
  await scene.until(1);
  scene.list(0, 2_000);
  new Scheduler(scene.ledger, 1, "ascending").take(0);
  assert.deepEqual(await scene.until(2, { nowMs: 1_000, held: true, starving: true }), [
    "listed 5000 dropped 1744",
    "defer 4744",
  ]);
});

test("a post-copy that waits for QEMU's listing looks when that is held, and once more when it is nearly over", async () => {
  await using scene = await Scene.open(says(0, 10), 0, 10);
  await scene.until(1);
  scene.list(0, 100);
  scene.assertNoLook({ nowMs: 1_000, holding: true });
  assert.deepEqual(await scene.until(2, { nowMs: 1_200, held: true, holding: true }), [
    "listed 10 dropped 10",
    "read closer",
  ]);
  scene.assertNoLook({ nowMs: 1_300, holding: true });
  assert.deepEqual(await scene.until(3, { nowMs: 1_400, held: true, holding: true }), [
    "listed 10 dropped 0",
    "defer nothing",
    "settled",
  ]);
});

test("later looks come while much was never sent, and more and more seldom", async () => {
  await using scene = await Scene.open(says(0, 10), 0, 10);
  await scene.until(1);
  scene.list(0, PAGES);
  await scene.until(3, { nowMs: 10_000, firstPassDone: true });
  scene.assertNoLook({ nowMs: 11_000, firstPassDone: true });
  assert.deepEqual(await scene.until(1, { nowMs: 13_000, firstPassDone: true }), ["listed 10 dropped 0"]);
  scene.assertNoLook({ nowMs: 15_500, firstPassDone: true });
  await scene.until(1, { nowMs: 18_000, firstPassDone: true });
  scene.ledger.beginScan();
  scene.ledger.dropFree(0, Uint32Array.of(0, PAGES));
  scene.assertNoLook({ nowMs: 99_000, firstPassDone: true });
});

const refuses: Behaviour = (seen) => {
  const payload = Buffer.alloc(8);
  payload.writeUInt32LE(5, 0);
  return encodeFrame(0xffff, seen.session, seen.sequence, payload);
};
for (const [name, behaviour, code] of [
  ["refuses", afterHello(refuses), "GODWIT_HELPER_REFUSED"],
  ["says nonsense", says(7, 0), "GODWIT_HELPER_ANSWER"],
  ["names pages that it doesn't have", says(PAGES - 1, 2), "GODWIT_HELPER_ANSWER"],
  ["falls silent", afterHello(() => null), "GODWIT_HELPER_SILENT"],
] as const) {
  test(`a guest that ${name} ends the looks, and everything is sent`, async () => {
    await using scene = await Scene.open(behaviour, 0, 50);
    await scene.until(1);
    scene.list(0, 100);
    assert.deepEqual(await scene.until(3, { firstPassDone: true }), ["defer nothing", "settled", code]);
    assert.equal(scene.ledger.owedPages(), 100);
    assert.ok(scene.looks.isOver);
  });
}

test("a slow list that no page waits for is waited for, until the stop would wait for it", async () => {
  let isAsked = false;
  const behaviour = afterHello(() => {
    isAsked = true;
    return null;
  });
  await using scene = await Scene.open(behaviour);
  await scene.until(1);
  scene.list(0, 100);
  while (!isAsked) {
    scene.tick({ nowMs: 0, firstPassDone: true });
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  for (const nowMs of [20_000, 29_500]) scene.tick({ nowMs, firstPassDone: true });
  assert.deepEqual(scene.happened, []);
  scene.tick({ nowMs: 30_000, firstPassDone: true, holding: true });
  assert.deepEqual(scene.happened, ["defer nothing", "settled", "GODWIT_HELPER_SILENT"]);
});

test("an answer that comes after the end changes nothing", async () => {
  let answer: (() => void) | null = null;
  const behaviour = afterHello((seen, socket) => {
    answer = () => socket.write(answerTo(seen, listPayload([0, 50], 4)));
    return null;
  });
  await using scene = await Scene.open(behaviour, 0, 50);
  await scene.until(1);
  scene.list(0, 100);
  while (answer === null) {
    scene.tick({ firstPassDone: true });
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  scene.looks.end();
  (answer as () => void)();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(scene.happened, ["defer nothing", "settled"]);
  assert.equal(scene.ledger.owedPages(), 100);
});
