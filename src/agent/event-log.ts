import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { GodwitError } from "../base/errors.ts";

/**
 * One line of an event log holds one event; a report with its settings is some 2 KiB, so 1 MiB can only be a
 * damaged file.
 */
const MAX_LINE_BYTES = 1024 * 1024;

/** Bytes read at once: some hundred events. */
const READ_BYTES = 64 * 1024;

/**
 * A look without a notice of the kernel: only for file systems without inotify and for the end of the log's
 * writer, so half a second is soon enough.
 */
const RECHECK_MS = 500;

/** One line of a log with its number, from 0. */
export interface LogLine {
  readonly index: number;
  readonly text: string;
}

/**
 * Reads a file of lines from its line `from` on and goes on as it grows. Ends after `isLast` accepted a line, or
 * when nothing is left to read and `isOver` says that nobody writes any more. Waits for the file to appear.
 * Memory stays below one line and one read, however slow the reader is.
 * @throws GodwitError `GODWIT_EVENT_LOG` on a line longer than 1 MiB
 */
export async function* followLines(
  path: string,
  options: {
    from: number;
    isLast: (text: string) => boolean;
    isOver: () => boolean;
    signal: AbortSignal;
  },
): AsyncGenerator<LogLine> {
  const { from, isLast, isOver, signal } = options;
  using change = new Change(signal);
  let file: FileHandle | null = null;
  const bytes = Buffer.allocUnsafe(READ_BYTES);
  let rest = Buffer.alloc(0);
  let index = 0;
  try {
    while (!signal.aborted) {
      const over = isOver();
      file ??= await openOrNull(path);
      if (file !== null) change.watch(path);
      const { bytesRead } = file === null ? { bytesRead: 0 } : await file.read(bytes, 0, READ_BYTES);
      if (bytesRead === 0) {
        if (over) return;
        await change.wait();
        continue;
      }
      rest = Buffer.concat([rest, bytes.subarray(0, bytesRead)]);
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        const text = rest.toString("utf8", 0, end);
        rest = rest.subarray(end + 1);
        if (index >= from) yield { index, text };
        index += 1;
        if (isLast(text)) return;
      }
      if (rest.length > MAX_LINE_BYTES) {
        throw new GodwitError("GODWIT_EVENT_LOG", "an event log has a line that is too long", {
          advice: "the file is damaged; the migration itself is not touched by this",
        });
      }
    }
  } finally {
    await file?.close();
  }
}

async function openOrNull(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Waits for the next change of a file, the abort or a while. A change before the wait is not lost. */
class Change {
  readonly #signal: AbortSignal;
  #watcher: FSWatcher | null = null;
  #watched = false;
  #happened = false;
  #wake: () => void = () => {};
  readonly #notice = () => {
    this.#happened = true;
    this.#wake();
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#notice);
  }

  watch(path: string): void {
    if (this.#watched) return;
    this.#watched = true;
    this.#happened = true;
    try {
      this.#watcher = watch(path, this.#notice);
      this.#watcher.on("error", () => {});
    } catch {
      this.#watcher = null;
    }
  }

  async wait(): Promise<void> {
    if (!this.#happened) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, RECHECK_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = () => {};
    }
    this.#happened = false;
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.#notice);
    this.#watcher?.close();
  }
}
