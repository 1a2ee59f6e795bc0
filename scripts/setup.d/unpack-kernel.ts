import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { zstdDecompressSync } from "node:zlib";
import { uncompressSync } from "lz4-napi";

/** A kernel image of ours has some 50 MiB; ten times that is nonsense. */
const MOST_BYTES = 512 * 1024 ** 2;

/** Each but the last of the blocks that the kernel's build makes with LZ4 ("legacy") holds this. */
const LZ4_BLOCK_BYTES = 8 * 1024 ** 2;

/** Offsets in a bzImage: Linux, Documentation/arch/x86/boot.rst. */
const AT = { setupSectors: 0x1f1, magic: 0x202, payloadOffset: 0x248, payloadBytes: 0x24c };
const SECTOR_BYTES = 512;

/**
 * The kernel proper, an ELF image, out of a bzImage. QEMU can start it as it is (PVH), which saves an emulated guest
 * the unpacking: a sixth of all that it executes until it is up.
 * @param xz the program of that name: what the kernel's build makes with it no library of Node's can unpack
 * @throws Error for anything but a bzImage with LZ4, zstd or XZ in it
 */
export function unpackKernel(image: Buffer, xz: string): Buffer {
  if (image.length < SECTOR_BYTES * 2 || image.toString("latin1", AT.magic, AT.magic + 4) !== "HdrS") {
    throw new Error("this is no bzImage");
  }
  const setupBytes = ((image[AT.setupSectors] || 4) + 1) * SECTOR_BYTES;
  const from = setupBytes + image.readUInt32LE(AT.payloadOffset);
  const payload = image.subarray(from, from + image.readUInt32LE(AT.payloadBytes));
  // The build puts the unpacked length behind the compressed image.
  const packed = payload.subarray(0, -4);
  const bytes = payload.readUInt32LE(packed.length);
  if (bytes > MOST_BYTES) throw new Error(`a kernel of ${bytes} bytes`);
  const kernel = unpack(packed, bytes, xz);
  if (kernel.length !== bytes || kernel.toString("latin1", 0, 4) !== "\x7fELF") {
    throw new Error("what is in it is no kernel");
  }
  return kernel;
}

function unpack(packed: Buffer, bytes: number, xz: string): Buffer {
  switch (packed.readUInt32LE(0)) {
    case 0x184c2102:
      return Buffer.concat([...lz4Blocks(packed.subarray(4), bytes)]);
    case 0xfd2fb528:
      return zstdDecompressSync(packed, { maxOutputLength: bytes });
    case 0x587a37fd:
      return execFileSync(xz, ["-dc"], { input: packed, maxBuffer: MOST_BYTES });
    default:
      throw new Error(`it is packed in an unknown way: ${packed.toString("hex", 0, 4)}`);
  }
}

function* lz4Blocks(packed: Buffer, bytes: number): Generator<Buffer> {
  let left = bytes;
  for (let at = 0; left > 0; ) {
    const length = packed.readUInt32LE(at);
    const held = Math.min(left, LZ4_BLOCK_BYTES);
    const block = Buffer.alloc(4 + length);
    block.writeUInt32LE(held);
    packed.copy(block, 4, at + 4, at + 4 + length);
    yield uncompressSync(block);
    at += 4 + length;
    left -= held;
  }
}

const [image, kernel, xz] = process.argv.slice(2);
if (import.meta.main && image !== undefined && kernel !== undefined && xz !== undefined) {
  writeFileSync(kernel, unpackKernel(readFileSync(image), xz));
}
