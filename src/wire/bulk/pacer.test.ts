import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Pacer } from "./pacer.ts";

/** A clock that the test moves. */
function virtualClock(): { now: () => bigint; advance(ms: number): void } {
  let ns = 5_000_000_000n;
  return {
    now: () => ns,
    advance: (ms) => {
      ns += BigInt(Math.round(ms * 1e6));
    },
  };
}

test("a sender that waits as told keeps the rate within 5 %, whatever its frames' sizes", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 65_536, max: 2_000_000_000 }),
      fc.array(fc.integer({ min: 40, max: 1_050_000 }), { minLength: 1, maxLength: 20 }),
      (rate, sizes) => {
        const clock = virtualClock();
        const pacer = new Pacer(undefined, clock.now);
        pacer.setRate(rate);
        const began = clock.now();
        let sent = 0;
        for (let index = 0; sent < 2 * rate || index < 200; index += 1) {
          const size = sizes[index % sizes.length] as number;
          sent += size;
          clock.advance(pacer.reserve(size));
          if (index > 20_000) return;
        }
        const seconds = Number(clock.now() - began) / 1e9;
        if (seconds < 0.9) return;
        const seen = sent / seconds;
        assert.ok(seen <= 1.05 * rate && seen >= 0.95 * rate, `${seen} instead of ${rate}`);
      },
    ),
  );
});

test("several senders share one rate through the shared buffer", () => {
  const clock = virtualClock();
  const first = new Pacer(undefined, clock.now);
  first.setRate(100_000_000);
  const pacers = [first, new Pacer(first.shared, clock.now), new Pacer(first.shared, clock.now)];
  const readyAtMs = [0, 0, 0];
  let elapsedMs = 0;
  let sent = 0;
  while (elapsedMs < 10_000) {
    const next = readyAtMs.indexOf(Math.min(...readyAtMs));
    const step = Math.max(0, (readyAtMs[next] as number) - elapsedMs);
    clock.advance(step);
    elapsedMs += step;
    sent += 1_000_000;
    readyAtMs[next] = elapsedMs + (pacers[next] as Pacer).reserve(1_000_000) + 0.01;
  }
  const rate = sent / (elapsedMs / 1000);
  assert.ok(rate > 95e6 && rate < 105e6, `${rate}`);
});

test("a changed rate holds at once for what was reserved already", () => {
  const clock = virtualClock();
  const pacer = new Pacer(undefined, clock.now);
  pacer.setRate(1_000_000);
  assert.ok(Math.abs(pacer.reserve(1_000_000) - 960) < 1);
  pacer.setRate(10_000_000);
  assert.ok(
    Math.abs(pacer.reserve(1_000_000) - 160) < 1,
    "100 ms are left of the first, and 100 for the second",
  );
  pacer.setRate(null);
  assert.equal(pacer.reserve(1e12), 0);
});

test("time that wasn't used isn't saved up", () => {
  const clock = virtualClock();
  const pacer = new Pacer(undefined, clock.now);
  pacer.setRate(1_000_000);
  pacer.reserve(1);
  clock.advance(60_000);
  assert.ok(pacer.reserve(1_000_000) > 950);
});

test("no cap means no wait, and nonsense is refused", () => {
  const pacer = new Pacer();
  assert.equal(pacer.reserve(1e9), 0);
  for (const rate of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => pacer.setRate(rate), { code: "GODWIT_BAD_QUANTITY" });
  }
});
