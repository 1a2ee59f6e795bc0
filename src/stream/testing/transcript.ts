import { createHash } from "node:crypto";
import { PAGE_BYTES, type StreamHandler, StreamReader, type StreamReaderOptions } from "../index.ts";

/** One call of a handler: its name and arguments as text, page contents as a digest. */
export type Entry = string;

/** A handler that writes down every call. */
export function transcriber(entries: Entry[]): Required<Omit<StreamHandler, "deviceStateUnchecked">> {
  const note =
    (name: string) =>
    (...values: unknown[]) => {
      entries.push(`${name} ${values.map(text).join(" ")}`);
    };
  return {
    header: note("header"),
    configuration: note("configuration"),
    ramStart: (sectionId, blocks, totalBytes) =>
      entries.push(`ramStart ${sectionId} ${JSON.stringify(blocks)} ${totalBytes}`),
    ramSectionStart: note("ramSectionStart"),
    zeroPage: note("zeroPage"),
    page: (block, page, content, offset) => {
      const bytes = content.subarray(offset, content.length === 0 ? 0 : offset + PAGE_BYTES);
      entries.push(`page ${block} ${page} ${bytes.length} ${digest(bytes)}`);
    },
    ramSectionEnd: note("ramSectionEnd"),
    command: note("command"),
    deviceState: note("deviceState"),
    description: note("description"),
    end: note("end"),
  };
}

/**
 * Cuts bytes into chunks of the given sizes, over and over. A chunk's buffer is exactly as long as the chunk and is
 * overwritten by the next one of that size, as a reading loop does: whoever reads behind it or keeps it is found out.
 */
export function* chunked(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  const buffers = new Map<number, Uint8Array>();
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = Math.min(bytes.length - at, Math.max(1, sizes[turn % sizes.length] ?? bytes.length));
    const chunk = buffers.get(size) ?? new Uint8Array(size);
    buffers.set(size, chunk);
    chunk.set(bytes.subarray(at, at + size));
    yield chunk;
    at += size;
  }
}

/** Reads a whole stream in chunks of these sizes. @throws what the reader throws */
export function transcript(
  bytes: Uint8Array,
  sizes: readonly number[] = [bytes.length],
  options?: StreamReaderOptions,
): Entry[] {
  const entries: Entry[] = [];
  const reader = new StreamReader(transcriber(entries), options);
  for (const chunk of chunked(bytes, sizes)) reader.push(chunk);
  reader.end();
  return entries;
}

function text(value: unknown): string {
  return value instanceof Uint8Array ? `${value.length} ${digest(value)}` : String(value);
}

function digest(bytes: Uint8Array): string {
  return createHash("sha1").update(bytes).digest("hex").slice(0, 12);
}
