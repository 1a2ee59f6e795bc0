import assert from "node:assert/strict";
import { test } from "node:test";
import { GrowingSeries } from "./growing-series.ts";
import { lookAtWindow } from "./probe-gaps.ts";

/** A probe each millisecond from 0 on; `answers` gives the arrival of the answer, or null for a lost one. */
function series(count: number, answers: (sequence: number) => number | null) {
  const growing = new GrowingSeries();
  for (let at = 0; at < count; at += 1) growing.noteSent(at);
  for (let at = 0; at < count; at += 1) {
    const answered = answers(at);
    if (answered !== null) growing.noteAnswered(at, answered);
  }
  return growing.view();
}

test("a pause in which probes are lost lasts from the last answer before to the first one after", () => {
  const view = series(1000, (at) => (at > 300 && at < 340 ? null : at + 0.5));
  const seen = lookAtWindow(view, { fromMs: 100, toMs: 900 }, 1000);
  assert.equal(seen.longestSilenceMs, 40);
  assert.equal(seen.silenceFromMs, 300.5);
  assert.equal(seen.lost, 39);
  assert.equal(seen.sent, 801);
  assert.equal(seen.answeredAgain, true);
});

test("a pause in which probes wait and are all answered late is as long", () => {
  const view = series(1000, (at) => (at > 300 && at < 340 ? 340.5 : at + 0.5));
  const seen = lookAtWindow(view, { fromMs: 100, toMs: 900 }, 1000);
  assert.equal(seen.longestSilenceMs, 40);
  assert.equal(seen.lost, 0);
  assert.equal(seen.roundTripMs?.max, 39.5);
  assert.equal(seen.roundTripMs?.p50, 0.5);
});

test("silences outside of the window don't count, one that reaches into it does as a whole", () => {
  const view = series(1000, (at) => ((at > 100 && at < 200) || (at > 480 && at < 520) ? null : at));
  assert.equal(lookAtWindow(view, { fromMs: 300, toMs: 450 }, 1000).longestSilenceMs, 1);
  assert.equal(lookAtWindow(view, { fromMs: 300, toMs: 500 }, 1000).longestSilenceMs, 40);
});

test("a guest that never answers again is silent until the look", () => {
  const view = series(1000, (at) => (at > 400 ? null : at));
  const seen = lookAtWindow(view, { fromMs: 0, toMs: 1000 }, 1500);
  assert.equal(seen.longestSilenceMs, 1100);
  assert.equal(seen.answeredAgain, false);
});

test("a guest that never answered at all gives null", () => {
  const view = series(100, () => null);
  const seen = lookAtWindow(view, { fromMs: 0, toMs: 100 }, 100);
  assert.equal(seen.longestSilenceMs, null);
  assert.equal(seen.roundTripMs, null);
  assert.equal(seen.lost, 100);
});

test("answers out of order are put in order before silences are looked for", () => {
  const view = series(100, (at) => (at % 2 === 0 ? at + 2.5 : at + 0.5));
  const seen = lookAtWindow(view, { fromMs: 10, toMs: 90 }, 100);
  assert.ok((seen.longestSilenceMs ?? 99) <= 2);
});

test("the probe's own stalls are told apart", () => {
  const growing = new GrowingSeries();
  for (const time of [0, 1, 2, 30, 31]) growing.noteSent(time);
  assert.equal(lookAtWindow(growing.view(), { fromMs: 0, toMs: 31 }, 31).longestOwnStallMs, 28);
});

test("answers that were not waited for and second answers are refused, and the series grows", () => {
  const growing = new GrowingSeries();
  for (let at = 0; at < 200_000; at += 1) growing.noteSent(at);
  assert.equal(growing.noteAnswered(199_999, 200_000), true);
  assert.equal(growing.noteAnswered(199_999, 200_001), false);
  for (const sequence of [200_000, -1, 0.5, Number.NaN]) {
    assert.equal(growing.noteAnswered(sequence, 200_001), false, String(sequence));
  }
  assert.equal(growing.view().answeredAt[199_999], 200_000);
  assert.equal(growing.view().sentAt[123_456], 123_456);
});
