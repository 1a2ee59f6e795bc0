import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { GodwitError } from "../base/errors.ts";
import { GuestHelper, SLICE_PAGES } from "./client.ts";
import {
  encodeFrame,
  type FreePagesRequest,
  HELPER_PROTOCOL_VERSION,
  MOST_PAYLOAD_BYTES,
  requestTypes,
} from "./protocol.ts";
import {
  afterHello,
  answerTo,
  type Behaviour,
  FakeHelper,
  helloPayload,
  listPayload,
} from "./testing/fake-helper.ts";

const PAGES = 65_536;
const request: FreePagesRequest = { source: "any", minimumOrder: 0, perCpu: false, mostRuns: 100 };
/** For helpers that will never answer: the test waits this long, and asserts on nothing that takes longer. */
const SHORT = { timeoutMs: 50 };

const coded = (code: string) => (error: unknown) => (error as GodwitError).code === code;

/** Asks a helper for free pages and gives the error's code, or the answer's runs. */
async function outcome(behaviour: Behaviour, options = {}): Promise<unknown> {
  await using fake = await FakeHelper.listen(behaviour);
  try {
    using helper = await GuestHelper.connect(fake.path, PAGES, options);
    const answer = await helper.freePages(request, options);
    return [...answer.runs];
  } catch (error) {
    return (error as GodwitError).code;
  }
}

test("a helper's list arrives with what it says of itself", async () => {
  const payload = listPayload([5, 10, 100, 1], 4);
  payload.writeUInt16LE(1 | 4, 2);
  payload.writeUInt32LE(3, 8);
  payload.writeBigUInt64LE(2_500_000n, 16);
  await using fake = await FakeHelper.listen(afterHello((seen) => answerTo(seen, payload)));
  using helper = await GuestHelper.connect(fake.path, PAGES);
  assert.deepEqual(
    { ...helper.hello },
    {
      canAskDriver: true,
      canReadKpageflags: true,
      canScanWorkingSet: true,
      canDropCache: true,
      canListKernelPages: true,
      mostRuns: 1 << 20,
    },
  );
  const answer = await helper.freePages(request);
  assert.deepEqual([...answer.runs], [5, 10, 100, 1]);
  const { source, truncated, initOnAlloc, initOnFree, zones, lockMs } = answer;
  assert.deepEqual(
    { source, truncated, initOnAlloc, initOnFree, zones, lockMs },
    { source: "driver", truncated: true, initOnAlloc: true, initOnFree: false, zones: 3, lockMs: 2.5 },
  );
});

test("the request says what was asked for, and never more runs than the helper can list", async () => {
  const seen: Buffer[] = [];
  const few = helloPayload((payload) => payload.writeUInt32LE(7, 8));
  await using fake = await FakeHelper.listen((asked) => {
    if (asked.type === 1) return answerTo(asked, few);
    seen.push(Buffer.from(asked.payload));
    return answerTo(asked, listPayload([], asked.type === 2 ? 4 : 12, 2));
  });
  using helper = await GuestHelper.connect(fake.path, PAGES);
  await helper.freePages({ source: "kpageflags", minimumOrder: 3, perCpu: true, mostRuns: 100 });
  await helper.workingSet({ scans: 2, intervalMs: 10, mostRuns: 5, fresh: true });
  assert.deepEqual(
    seen.map((bytes) => bytes.toString("hex")),
    ["02030100070000000000000000000100", "020000000a0000000500000001000000"],
  );
});

/** A guest of three slices, and what its helper lists of each. */
const threeSlices = 3 * SLICE_PAGES;
function listsBySlice(lists: readonly (readonly number[])[], seen: string[] = []): Behaviour {
  return afterHello((asked) => {
    if (asked.type === requestTypes.workingSet) {
      seen.push("working set");
      return answerTo(asked, listPayload([], 12));
    }
    const kernels = asked.type === requestTypes.kernelPages;
    const slice = asked.payload.readUInt32LE(kernels ? 4 : 8) / SLICE_PAGES;
    seen.push(`slice ${slice} with ${asked.payload.readUInt32LE(kernels ? 0 : 4)} runs`);
    const payload = listPayload(lists[slice]!, 4, 2);
    return answerTo(
      asked,
      kernels ? Buffer.concat([payload.subarray(0, 16), payload.subarray(40)]) : payload,
    );
  });
}

test("what is long to list comes in slices that become one list, and others have their turn between them", async () => {
  const seen: string[] = [];
  const lists = [
    [5, 10, SLICE_PAGES - 1, 1],
    [SLICE_PAGES, 3],
    [2 * SLICE_PAGES, 1, threeSlices - 1, 1],
  ];
  await using fake = await FakeHelper.listen(listsBySlice(lists, seen));
  using helper = await GuestHelper.connect(fake.path, threeSlices);
  const free = helper.freePages({ ...request, source: "kpageflags" });
  await helper.workingSet({ scans: 1, intervalMs: 0, mostRuns: 5, fresh: true });
  const kernel = await helper.kernelPages({ tablesOnly: false, mostRuns: 50 });
  const whole = [5, 10, SLICE_PAGES - 1, 4, 2 * SLICE_PAGES, 1, threeSlices - 1, 1];
  assert.deepEqual([...(await free).runs], whole);
  assert.deepEqual([...kernel.runs], whole);
  assert.deepEqual([(await free).truncated, kernel.truncated], [false, false]);
  assert.deepEqual(seen.slice(0, 3), ["slice 0 with 100 runs", "working set", "slice 1 with 98 runs"]);
});

test("slices have no more runs together than were asked for, and what is left out is said", async () => {
  const seen: string[] = [];
  const lists = [[1, 1], [SLICE_PAGES, 1, SLICE_PAGES + 2, 1], []];
  await using fake = await FakeHelper.listen(listsBySlice(lists, seen));
  using helper = await GuestHelper.connect(fake.path, threeSlices);
  const answer = await helper.kernelPages({ tablesOnly: false, mostRuns: 3 });
  assert.deepEqual([...answer.runs], [1, 1, SLICE_PAGES, 1, SLICE_PAGES + 2, 1]);
  assert.equal(answer.truncated, true);
  assert.deepEqual(seen, ["slice 0 with 3 runs", "slice 1 with 2 runs"]);
});

test("a slice with pages that were not asked about is refused", async () => {
  await using fake = await FakeHelper.listen(listsBySlice([[1, 1], [2, 1], []]));
  using helper = await GuestHelper.connect(fake.path, threeSlices);
  const asked = helper.freePages({ ...request, source: "kpageflags" });
  await assert.rejects(asked, coded("GODWIT_HELPER_ANSWER"));
});

test("a time to wait is for all slices together", async () => {
  let slices = 0;
  await using fake = await FakeHelper.listen(
    afterHello((asked, socket) => {
      slices += 1;
      setTimeout(() => socket.write(answerTo(asked, listPayload([], 4, 2))), 30).unref();
      return null;
    }),
  );
  using helper = await GuestHelper.connect(fake.path, 1000 * SLICE_PAGES);
  const asked = helper.freePages({ ...request, source: "kpageflags" }, { timeoutMs: 100 });
  await assert.rejects(asked, coded("GODWIT_HELPER_SILENT"));
  assert.ok(slices < 5, `${slices} slices of 30 ms`);
});

for (const [name, runs] of [
  ["overlapping", [10, 5, 14, 2]],
  ["descending", [10, 5, 3, 2]],
  ["empty", [10, 0]],
  ["out of range", [PAGES - 1, 2]],
  ["wrapping around", [0xffff_ffff, 0xffff_ffff]],
] as const) {
  test(`a list with a run that is ${name} is refused`, async () => {
    const behaviour = afterHello((seen) => answerTo(seen, listPayload(runs, 4)));
    assert.equal(await outcome(behaviour), "GODWIT_HELPER_ANSWER");
  });
}

const lies: Readonly<Record<string, Behaviour>> = {
  "more runs than it carries": (seen) => {
    const payload = listPayload([1, 1], 4);
    payload.writeUInt32LE(9, 4);
    return answerTo(seen, payload);
  },
  "fewer runs than it carries": (seen) => {
    const payload = listPayload([1, 1, 5, 1], 4);
    payload.writeUInt32LE(1, 4);
    return answerTo(seen, payload);
  },
  "more runs than were allowed": (seen) =>
    answerTo(
      seen,
      listPayload(
        Array.from({ length: 202 }, (_, index) => (index % 2 ? 1 : index)),
        4,
      ),
    ),
  "a source that was not asked for": (seen) => answerTo(seen, listPayload([], 4, 7)),
  "an answer shorter than its head": (seen) => answerTo(seen, Buffer.alloc(12)),
  "another request's answer": (seen) => encodeFrame(0x8003, seen.session, seen.sequence, Buffer.alloc(40)),
  "the answer to another sequence": (seen) =>
    encodeFrame(0x8002, seen.session, seen.sequence + 1, listPayload([], 4)),
  "another session's frame": (seen) =>
    encodeFrame(0x8002, (seen.session ^ 1) >>> 0, seen.sequence, listPayload([], 4)),
  "a payload of four gigabytes": (seen) => {
    const frame = answerTo(seen, Buffer.alloc(8));
    frame.writeUInt32LE(0xffff_ffff, 16);
    return frame;
  },
};
for (const [name, behaviour] of Object.entries(lies)) {
  test(`a helper that sends ${name} is refused`, async () => {
    assert.equal(await outcome(afterHello(behaviour)), "GODWIT_HELPER_ANSWER");
  });
}

for (const [name, change] of [
  ["speaks only a later version", (payload: Buffer) => payload.writeUInt16LE(HELPER_PROTOCOL_VERSION + 1, 0)],
  ["has pages of another size", (payload: Buffer) => payload.writeUInt32LE(16_384, 12)],
  ["can list nothing", (payload: Buffer) => payload.writeUInt32LE(0, 8)],
] as const) {
  test(`a helper that ${name} is refused`, async () => {
    const behaviour: Behaviour = (seen) => answerTo(seen, helloPayload(change));
    assert.equal(await outcome(behaviour), "GODWIT_HELPER_ANSWER");
  });
}

test("a helper that never answers the hello, or the request, is silent", async () => {
  assert.equal(await outcome(() => null, SHORT), "GODWIT_HELPER_SILENT");
  assert.equal(
    await outcome(
      afterHello(() => null),
      SHORT,
    ),
    "GODWIT_HELPER_SILENT",
  );
});

test("a helper that answers half and goes on for ever with nothing new is silent", async () => {
  const behaviour = afterHello((seen) => answerTo(seen, listPayload([1, 1, 3, 1], 4)).subarray(0, 40));
  assert.equal(await outcome(behaviour, SHORT), "GODWIT_HELPER_SILENT");
});

test("a guest that sends endless bytes that are no frame is given up after a bound", async () => {
  let sentBytes = 0;
  const flood: Behaviour = (_, socket) => {
    const piece = Buffer.alloc(1 << 20, 0x5a);
    const more = () => {
      sentBytes += piece.length;
      if (!socket.destroyed) socket.write(piece, more);
    };
    more();
    return null;
  };
  assert.equal(await outcome(flood), "GODWIT_HELPER_ANSWER");
  assert.ok(sentBytes < 4 * MOST_PAYLOAD_BYTES);
});

test("what an earlier connection left behind is passed over", async () => {
  const stale = encodeFrame(0x8002, 12_345, 1, listPayload([1, 1], 4));
  let first = true;
  const behaviour: Behaviour = (seen) => {
    if (seen.type !== 1) return answerTo(seen, listPayload([7, 2], 4));
    const rest = first ? stale.subarray(13) : Buffer.alloc(0);
    first = false;
    return Buffer.concat([rest, stale, answerTo(seen, helloPayload())]);
  };
  assert.deepEqual(await outcome(behaviour), [7, 2]);
});

test("a helper that says no says why, and can be asked again", async () => {
  let asked = 0;
  const behaviour = afterHello((seen) => {
    asked += 1;
    if (asked > 1) return answerTo(seen, listPayload([7, 2], 4));
    const no = Buffer.alloc(8);
    no.writeUInt32LE(5, 0);
    return encodeFrame(0xffff, seen.session, seen.sequence, no);
  });
  await using fake = await FakeHelper.listen(behaviour);
  using helper = await GuestHelper.connect(fake.path, PAGES);
  await assert.rejects(
    helper.freePages(request),
    (error) => coded("GODWIT_HELPER_REFUSED")(error) && /page_poison/.test(String(error)),
  );
  assert.deepEqual([...(await helper.freePages(request)).runs], [7, 2]);
});

test("after a wrong answer a helper is asked nothing more", async () => {
  await using fake = await FakeHelper.listen(afterHello((seen) => answerTo(seen, listPayload([3, 0], 4))));
  using helper = await GuestHelper.connect(fake.path, PAGES);
  await assert.rejects(helper.freePages(request), coded("GODWIT_HELPER_ANSWER"));
  assert.equal(helper.isOpen, false);
  await assert.rejects(helper.freePages(request), coded("GODWIT_HELPER_ANSWER"));
});

test("a wait ends when its signal is aborted, or when the channel closes", async () => {
  await using fake = await FakeHelper.listen(afterHello(() => null));
  const abort = new AbortController();
  using helper = await GuestHelper.connect(fake.path, PAGES);
  const waits = helper.freePages(request, { signal: abort.signal });
  abort.abort();
  await assert.rejects(waits, coded("GODWIT_ABORTED"));

  fake.behaviour = (seen, socket) => {
    if (seen.type === 1) return answerTo(seen, helloPayload());
    socket.destroy();
    return null;
  };
  using other = await GuestHelper.connect(fake.path, PAGES);
  await assert.rejects(other.freePages(request), coded("GODWIT_HELPER_UNREACHABLE"));
});

test("a channel that isn't there can't be reached", async () => {
  await assert.rejects(
    GuestHelper.connect("/nonexistent/channel.sock", PAGES),
    coded("GODWIT_HELPER_UNREACHABLE"),
  );
});

test("whatever bytes a guest sends, a request ends in a checked list or a typed error", async () => {
  const codes = new Set(["GODWIT_HELPER_ANSWER", "GODWIT_HELPER_SILENT", "GODWIT_HELPER_REFUSED"]);
  const edits = fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 0, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(edits, fc.nat(120), fc.boolean(), async (changes, cut, cutIt) => {
      const result = await outcome(
        afterHello((seen) => {
          const frame = answerTo(seen, listPayload([1, 3, 10, 20, 400, 7], 4));
          for (const [at, value] of changes) frame[at % frame.length] = value;
          return cutIt ? frame.subarray(0, cut) : frame;
        }),
        { timeoutMs: 20 },
      );
      if (typeof result === "string") assert.ok(codes.has(result), result);
      else {
        const runs = result as number[];
        for (let index = 0, end = 0; index < runs.length; index += 2) {
          assert.ok(runs[index]! >= end && runs[index + 1]! > 0);
          end = runs[index]! + runs[index + 1]!;
          assert.ok(end <= PAGES);
        }
      }
    }),
    { numRuns: 60 },
  );
});
