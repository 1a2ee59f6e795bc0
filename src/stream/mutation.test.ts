import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { GodwitError } from "../base/errors.ts";
import { decodeDeviceSection } from "./device-sections.ts";
import { parseVmDescription, ReturnPathReader, StreamReader, splitDeviceSections } from "./index.ts";
import { captured } from "./testing/captured.ts";
import { chunked } from "./testing/transcript.ts";

/** One change of a stream: at a place given as a fraction, so that it suits any length. */
type Mutation = { at: number; do: "flip" | "cut" | "insert" | "copy" | "set"; size: number; value: number };

/** Half the mutations hit the beginning, where the structure is dense. */
const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.oneof(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 0.001, noNaN: true }),
    fc.double({ min: 0.99, max: 1, noNaN: true }),
  ),
  do: fc.constantFrom("flip", "cut", "insert", "copy", "set"),
  size: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 10_000 })),
  value: fc.nat(255),
});

function mutate(original: Buffer, mutations: readonly Mutation[]): Buffer {
  let bytes = Buffer.from(original);
  for (const { at, do: kind, size, value } of mutations) {
    const place = Math.floor(at * Math.max(0, bytes.length - 1));
    const before = bytes.subarray(0, place);
    const behind = bytes.subarray(place);
    if (kind === "flip" && bytes.length > 0) bytes[place]! ^= 1 << (value & 7);
    else if (kind === "set") behind.subarray(0, 8).fill(value);
    else if (kind === "cut") bytes = Buffer.concat([before, behind.subarray(size)]);
    else if (kind === "insert") bytes = Buffer.concat([before, Buffer.alloc(size, value), behind]);
    else bytes = Buffer.concat([before, behind.subarray(0, size), behind]);
  }
  return bytes;
}

/** Reads everything there is to read, decoding included. Memory is bounded: no more than we put in, plus limits. */
function readAll(bytes: Buffer): void {
  let state: Uint8Array | undefined;
  const reader = new StreamReader({
    page() {},
    zeroPage() {},
    deviceState(bytes) {
      state = bytes;
    },
    description(json) {
      if (state === undefined) return;
      for (const section of splitDeviceSections(state, parseVmDescription(json)))
        decodeDeviceSection(section);
    },
  });
  for (const chunk of chunked(bytes, [65536])) reader.push(chunk);
  reader.end();
}

function orTypedError(work: () => void): void {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof GodwitError, `not a typed error: ${(error as Error).stack}`);
    assert.match(error.code, /^GODWIT_STREAM_/);
  }
}

for (const kind of ["precopy.stream", "ignore-shared.stream", "postcopy.stream"] as const) {
  for (const { version, bytes } of captured(kind)) {
    test(`a damaged ${kind} of QEMU ${version} is read or refused with a typed error`, () => {
      fc.assert(
        fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
          orTypedError(() => readAll(mutate(bytes, mutations)));
        }),
        { numRuns: 60 },
      );
    });
  }
}

for (const { version, bytes } of captured("postcopy.answers")) {
  test(`a damaged return path of QEMU ${version} is read or refused with a typed error`, () => {
    fc.assert(
      fc.property(
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 30 }),
        (mutations, size) => {
          orTypedError(() => {
            const reader = new ReturnPathReader(() => {});
            for (const chunk of chunked(mutate(bytes, mutations), [size])) reader.push(chunk);
          });
        },
      ),
      { numRuns: 300 },
    );
  });
}

test("damaged descriptions are refused or fit the device state they came with", () => {
  for (const { bytes } of captured("precopy.stream")) {
    let state = new Uint8Array(0) as Uint8Array;
    let json = Buffer.alloc(0) as Uint8Array;
    const reader = new StreamReader({
      deviceState(bytes) {
        state = bytes;
      },
      description(text) {
        json = text;
      },
    });
    reader.push(bytes);
    const text = Buffer.from(json).toString("latin1");
    // Other numbers in the place of sizes and lengths hit harder than flipped bits.
    const number = fc.constantFrom(
      "0",
      "1",
      "-1",
      "1e308",
      "0.5",
      "4294967296",
      "9007199254740991",
      "null",
      "{}",
      '"8"',
    );
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        number,
        fc.constantFrom("size", "array_len", "fields"),
        (at, value, key) => {
          const place = text.indexOf(`"${key}": `, Math.floor(at * text.length));
          if (place < 0) return;
          const changed = `${text.slice(0, place)}${text.slice(place).replace(/: ?[^,}\]]*/, `: ${value}`)}`;
          orTypedError(() => {
            const vmdesc = parseVmDescription(Buffer.from(changed, "latin1"));
            for (const section of splitDeviceSections(state, vmdesc)) decodeDeviceSection(section);
          });
        },
      ),
      { numRuns: 100 },
    );
  }
});
