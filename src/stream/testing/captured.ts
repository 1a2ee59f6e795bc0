import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";

const FOLDER = join(import.meta.dirname, "../fixtures");

/** What was captured: a whole pre-copy, one with `x-ignore-shared`, a native post-copy and its return path. */
export type CaptureKind = "precopy.stream" | "ignore-shared.stream" | "postcopy.stream" | "postcopy.answers";

/** Bytes captured from real QEMUs by `test/capture-fixtures.ts`: one entry per version. */
export function captured(kind: CaptureKind): { version: string; bytes: Buffer }[] {
  const pattern = new RegExp(`^qemu-(.*)-${kind}\\.zst$`);
  const found = readdirSync(FOLDER).flatMap((file) => {
    const version = pattern.exec(file)?.[1];
    if (version === undefined) return [];
    return [{ version, bytes: zstdDecompressSync(readFileSync(join(FOLDER, file))) }];
  });
  if (found.length === 0) throw new Error(`no fixture of kind ${kind} in ${FOLDER}`);
  return found;
}
