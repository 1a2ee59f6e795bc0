import { execFileSync } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parseTraceLine, type TracedWrite } from "./trace-line.ts";

const CHUNK_BYTES = 256 * 1024;

/** Blocks of the file that have been read are given back in steps of this: some minutes of a busy guest. */
const PUNCH_STEP_BYTES = 16 * 1024 * 1024;

/** File systems free whole blocks only. */
const BLOCK_BYTES = 4096;

/**
 * QEMU's trace in a file that QEMU writes and nobody has to drain: a guest never waits for its reader, a new agent
 * reads on where the last one was, and what has been read is cut out of the file, which keeps its length but no space.
 */
export class TraceFile implements Disposable {
  readonly #path: string;
  readonly #file: number;
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  #offset: number;
  #rest = "";
  #punched: number;

  /** @param offset where an earlier reader was */
  constructor(path: string, offset = 0) {
    this.#path = path;
    this.#file = openSync(path, "r");
    this.#offset = offset;
    this.#punched = offset - (offset % PUNCH_STEP_BYTES);
  }

  /** Bytes read so far whose lines were given out: where a later reader goes on. */
  get offset(): number {
    return this.#offset - Buffer.byteLength(this.#rest, "latin1");
  }

  /** Calls back with each write to a device that has been traced since the last call. */
  read(each: (write: TracedWrite) => void): void {
    for (;;) {
      const bytes = readSync(this.#file, this.#buffer, 0, CHUNK_BYTES, this.#offset);
      if (bytes === 0) return;
      this.#offset += bytes;
      const text = this.#rest + this.#buffer.toString("latin1", 0, bytes);
      const end = text.lastIndexOf("\n");
      this.#rest = text.slice(end + 1);
      if (end === -1) continue;
      for (const line of text.slice(0, end).split("\n")) {
        const write = parseTraceLine(line);
        if (write !== null) each(write);
      }
    }
  }

  /** Gives back the space of what is before `offset`, where there is enough of it. */
  forget(offset: number): void {
    const end = Math.min(offset, fstatSync(this.#file).size);
    const upTo = end - (end % BLOCK_BYTES);
    if (upTo - this.#punched < PUNCH_STEP_BYTES) return;
    // Node has no system call for it; util-linux is on every Debian.
    execFileSync("fallocate", ["--punch-hole", "--offset", "0", "--length", String(upTo), this.#path]);
    this.#punched = upTo;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
