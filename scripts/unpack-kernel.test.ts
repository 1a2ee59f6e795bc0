import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { compressSync } from "lz4-napi";
import { unpackKernel } from "./setup.d/unpack-kernel.ts";

/** Longer than one block of LZ4. */
const kernel = Buffer.alloc(9 * 1024 ** 2, "a kernel, many times over; ");
kernel.write("\x7fELF", "latin1");

/** What stands in for xz: it takes off nothing but the magic. */
const stand = join(mkdtempSync(join(tmpdir(), "godwit-kernel-")), "xz");
writeFileSync(stand, '#!/bin/sh\n[ "$1" = -dc ] && exec tail -c +7\n', { mode: 0o700 });
after(() => rmSync(dirname(stand), { recursive: true }));
const unpack = (image: Buffer) => unpackKernel(image, stand);

/** A bzImage with one setup sector and this payload. */
function bzImage(packed: Buffer, unpackedBytes = kernel.length): Buffer {
  const head = Buffer.alloc(1024);
  head[0x1f1] = 1;
  head.write("HdrS", 0x202);
  head.writeUInt32LE(packed.length + 4, 0x24c);
  const end = Buffer.alloc(4);
  end.writeUInt32LE(unpackedBytes);
  return Buffer.concat([head, packed, end, Buffer.from("what follows is not the payload's")]);
}

/** As the kernel's build packs: blocks of 8 MiB, each behind its length. */
function lz4Legacy(): Buffer {
  const blocks = [kernel.subarray(0, 8 * 1024 ** 2), kernel.subarray(8 * 1024 ** 2)].map((block) => {
    const packed = compressSync(block);
    packed.writeUInt32LE(packed.length - 4);
    return packed;
  });
  return Buffer.concat([Buffer.from("02214c18", "hex"), ...blocks]);
}

test("a kernel comes out of its image whole, whichever way it was packed", () => {
  assert.ok(unpack(bzImage(lz4Legacy())).equals(kernel));
  assert.ok(unpack(bzImage(zstdCompressSync(kernel))).equals(kernel));
  assert.ok(unpack(bzImage(Buffer.concat([Buffer.from("fd377a585a00", "hex"), kernel]))).equals(kernel));
});

test("what is no image of a kernel is refused", () => {
  assert.throws(() => unpack(kernel), /no bzImage/);
  assert.throws(() => unpack(bzImage(Buffer.from("1f8b0800", "hex"))), /unknown way: 1f8b0800/);
  assert.throws(() => unpack(bzImage(zstdCompressSync(kernel), 2 ** 31)), /a kernel of/);
  assert.throws(() => unpack(bzImage(zstdCompressSync(kernel), kernel.length - 1)));
  const other = Buffer.from("no kernel at all");
  assert.throws(() => unpack(bzImage(zstdCompressSync(other), other.length)), /no kernel/);
});
