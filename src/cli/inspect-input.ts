import { createReadStream } from "node:fs";
import { pipeline, Readable, type Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { GodwitError } from "../base/errors.ts";

/** Large reads: see the throughput of QEMU's streams in bench/stream.ts. */
const CHUNK_BYTES = 1024 ** 2;
const ZSTD_MAGIC = Buffer.from("28b52ffd", "hex");
const GZIP_MAGIC = Buffer.from("1f8b", "hex");

/**
 * The bytes of a file, or of standard input for "-", decompressed where they are zstd or gzip. Reads on only as the
 * caller takes them.
 * @throws GodwitError `GODWIT_INSPECT_FILE`
 */
export async function* inspectedBytes(path: string): AsyncGenerator<Buffer> {
  const source = path === "-" ? process.stdin : createReadStream(path, { highWaterMark: CHUNK_BYTES });
  try {
    const { head, rest } = await beginning(source[Symbol.asyncIterator]() as AsyncIterator<Buffer>);
    const decoder = decoderFor(head);
    yield* decoder === undefined ? rest : decoded(rest, decoder);
  } catch (cause) {
    const name = path === "-" ? "standard input" : path;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new GodwitError("GODWIT_INSPECT_FILE", `can't read ${name}: ${message}`, { side: "local", cause });
  } finally {
    source.destroy();
  }
}

/** The first bytes, and all of them. */
async function beginning(
  source: AsyncIterator<Buffer>,
): Promise<{ head: Buffer; rest: AsyncGenerator<Buffer> }> {
  let head: Buffer = Buffer.alloc(0);
  let done = false;
  while (head.length < ZSTD_MAGIC.length && !done) {
    const next = await source.next();
    done = next.done === true;
    if (!done) head = Buffer.concat([head, next.value]);
  }
  async function* rest() {
    yield head;
    for (let next = await source.next(); next.done !== true; next = await source.next()) yield next.value;
  }
  return { head, rest: rest() };
}

function decoderFor(head: Buffer): Transform | undefined {
  if (head.subarray(0, 4).equals(ZSTD_MAGIC)) return createZstdDecompress({ chunkSize: CHUNK_BYTES });
  if (head.subarray(0, 2).equals(GZIP_MAGIC)) return createGunzip({ chunkSize: CHUNK_BYTES });
  return undefined;
}

async function* decoded(rest: AsyncGenerator<Buffer>, decoder: Transform): AsyncGenerator<Buffer> {
  // A failure on either side destroys the decoder with it, and so ends the loop below.
  pipeline(Readable.from(rest), decoder, () => {});
  for await (const chunk of decoder) yield chunk as Buffer;
}
