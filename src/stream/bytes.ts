/** The be32 at `at`. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** The be16 at `at`. */
export function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** The be64 at `at`; exact up to 2^53, above that rounded, so compare with a limit before use. */
export function readUint64(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at) * 2 ** 32 + readUint32(bytes, at + 4);
}

/** `length` bytes as a latin1 string, which keeps every byte. */
export function readName(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString("latin1");
}

/** @returns the offset behind the written bytes, as all writing functions do */
export function putUint32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}

/** Writes 16 bits, big-endian, and gives the place behind them. */
export function putUint16(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 8;
  out[at + 1] = value;
  return at + 2;
}

/** `value` up to 2^53. */
export function putUint64(out: Uint8Array, at: number, value: number): number {
  return putUint32(out, putUint32(out, at, Math.floor(value / 2 ** 32)), value);
}

/** A length byte and a latin1 name of at most 255 bytes. */
export function putName(out: Uint8Array, at: number, name: string): number {
  out[at] = name.length;
  for (let index = 0; index < name.length; index++) out[at + 1 + index] = name.charCodeAt(index);
  return at + 1 + name.length;
}

/** A view of the same bytes with Buffer's methods. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
