import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { GodwitError as Failure, type GodwitError } from "../base/errors.ts";
import { HeldLocks, type SharedDoorbell } from "./held-locks.ts";
import type { FreePagesRequest } from "./protocol.ts";

const PAGES = 65_536;
const MEMORY_BYTES = 64 * 1024;
const request: FreePagesRequest = { source: "any", minimumOrder: 0, perCpu: true, mostRuns: 1000 };

const HELD = 1;
const ANSWERED = 2;
const TIMED_OUT = 3;

/** What a guest does when it is rung for, and when it hears the answer. */
interface Guest {
  rung(doorbell: FakeDoorbell): void;
  answered(doorbell: FakeDoorbell): void;
}

/** Both ends of a doorbell in one place. */
class FakeDoorbell implements SharedDoorbell {
  readonly bytes = MEMORY_BYTES;
  readonly hostPeer = 1;
  readonly memory = Buffer.alloc(MEMORY_BYTES);
  readonly #guest: Guest;
  #rings = 0;
  closed = false;

  constructor(guest: Guest, driver = 1) {
    this.#guest = guest;
    this.memory.writeUInt32LE(driver, 32);
  }

  read(into: Uint8Array, at: number): void {
    this.memory.copy(into, 0, at, at + into.length);
  }

  write(word: number, at: number): void {
    this.memory.writeUInt32LE(word, at);
    if (at === 12) this.#guest.answered(this);
  }

  ring(): void {
    this.#guest.rung(this);
  }

  async rung(): Promise<boolean> {
    if (this.#rings === 0) return false;
    this.#rings -= 1;
    return true;
  }

  tell(state: number, blocks: readonly bigint[] = [], says = blocks.length): void {
    this.memory.writeUInt32LE(this.memory.readUInt32LE(8), 36);
    this.memory.writeUInt32LE(state, 40);
    if (state === HELD) {
      this.memory.writeBigUInt64LE(BigInt(says), 56);
      for (const [index, block] of blocks.entries()) this.memory.writeBigUInt64LE(block, 4096 + 8 * index);
    }
    this.memory.writeBigUInt64LE(1_500_000n, 64);
    this.memory.writeBigUInt64LE(4_000_000n, 72);
    this.#rings += 1;
  }

  [Symbol.dispose](): void {
    this.closed = true;
  }
}

const block = (page: number, order: number) => (BigInt(page) << 12n) | BigInt(order);

const lists = (blocks: readonly bigint[], says?: number): Guest => ({
  rung: (doorbell) => doorbell.tell(HELD, blocks, says),
  answered: (doorbell) => doorbell.tell(ANSWERED),
});

async function outcome(guest: Guest, driver?: number): Promise<unknown> {
  try {
    using locks = new HeldLocks(new FakeDoorbell(guest, driver), PAGES);
    return [...(await locks.freePages(request)).runs];
  } catch (error) {
    assert.ok(error instanceof Failure, String(error));
    return (error as GodwitError).code;
  }
}

test("a list arrives with the time that the guest held its locks", async () => {
  const doorbell = new FakeDoorbell(lists([block(512, 9), block(7, 0), block(8, 3), block(512, 0)]));
  {
    using locks = new HeldLocks(doorbell, PAGES);
    const answer = await locks.freePages(request);
    assert.deepEqual([...answer.runs], [7, 9, 512, 512]);
    assert.deepEqual([answer.source, answer.scanMs, answer.lockMs], ["held-locks", 1.5, 4]);
    assert.equal(locks.receivedBytes, 56 + 4 * 8);
    assert.deepEqual([...(await locks.freePages(request)).runs], [7, 9, 512, 512]);
  }
  assert.ok(doorbell.closed);
});

test("a list is asked for again where the guest let go of its locks before it was read", async () => {
  let times = 0;
  const guest: Guest = {
    rung: (doorbell) => doorbell.tell(HELD, [block(1, 0)]),
    answered: (doorbell) => doorbell.tell(++times < 3 ? TIMED_OUT : ANSWERED),
  };
  using locks = new HeldLocks(new FakeDoorbell(guest), PAGES);
  const answer = await locks.freePages(request);
  assert.deepEqual([...answer.runs], [1, 1]);
  assert.deepEqual([times, locks.thrownAway], [3, 2]);
  assert.deepEqual([answer.lockMs, answer.longestLockMs], [12, 4]);
});

test("a guest that always lets go first, is silent, refuses or has no driver ends in a typed error", async () => {
  const never: Guest = { rung: () => {}, answered: () => {} };
  const late: Guest = { rung: (doorbell) => doorbell.tell(TIMED_OUT), answered: () => {} };
  const says = (state: number): Guest => ({ rung: (doorbell) => doorbell.tell(state), answered: () => {} });
  assert.equal(await outcome(late), "GODWIT_LOCKS_RELEASED");
  assert.equal(await outcome(never), "GODWIT_HELPER_SILENT");
  assert.equal(await outcome({ ...lists([]), answered: () => {} }), "GODWIT_HELPER_SILENT");
  assert.equal(await outcome(says(4)), "GODWIT_HELPER_REFUSED");
  assert.equal(await outcome(says(5)), "GODWIT_HELPER_REFUSED");
  assert.equal(await outcome(never, 0), "GODWIT_HELPER_REFUSED");
});

test("a guest that lies about its list ends in a typed error", async () => {
  assert.equal(await outcome(lists([block(PAGES - 1, 1)])), "GODWIT_HELPER_ANSWER");
  assert.equal(await outcome(lists([block(2 ** 33, 0)])), "GODWIT_HELPER_ANSWER");
  assert.equal(await outcome(lists([block(0, 11)])), "GODWIT_HELPER_ANSWER");
  assert.equal(await outcome(lists([], 1001)), "GODWIT_HELPER_ANSWER");
  assert.equal(await outcome(lists([], 2 ** 40)), "GODWIT_HELPER_ANSWER");
});

test("whatever the shared memory holds, the answer is a list within the guest or a typed error", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.bigInt({ min: 0n, max: (1n << 30n) - 1n }), { maxLength: 40 }),
      fc.integer({ min: 0, max: 1100 }),
      async (blocks, says) => {
        const result = await outcome(lists(blocks, says));
        if (typeof result === "string") assert.match(result, /^GODWIT_HELPER_/);
        else for (const value of result as number[]) assert.ok(value <= PAGES);
      },
    ),
    { numRuns: 200 },
  );
});
