import { GodwitError } from "../base/errors.ts";

const NEWLINE = 10;

/**
 * Cuts a byte stream into lines. What has no newline yet is kept as the chunks it came in and joined once, so a
 * long line costs one copy however small its chunks are, and `limitBytes` bounds what is kept.
 */
export class LineSplitter {
  readonly #limitBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /**
   * Takes the next bytes and hands over every line that they complete, without its newline and trailing carriage
   * return; empty lines are left out. `chunk` may be kept until its line is complete.
   * @throws GodwitError `GODWIT_LINE_TOO_LONG` when a line passes the limit, ended or not
   */
  push(chunk: Buffer, onLine: (line: string) => void): void {
    let start = 0;
    while (start < chunk.length) {
      const newline = chunk.indexOf(NEWLINE, start);
      const end = newline === -1 ? chunk.length : newline;
      if (this.#heldBytes + end - start > this.#limitBytes) {
        throw new GodwitError("GODWIT_LINE_TOO_LONG", `a line is longer than ${this.#limitBytes} bytes`);
      }
      if (newline === -1) {
        this.#held.push(chunk.subarray(start));
        this.#heldBytes += end - start;
        return;
      }
      const line = this.#take(chunk.subarray(start, end));
      if (line.length > 0) onLine(line);
      start = newline + 1;
    }
  }

  #take(last: Buffer): string {
    let bytes = last;
    if (this.#heldBytes > 0) {
      this.#held.push(last);
      bytes = Buffer.concat(this.#held, this.#heldBytes + last.length);
      this.#held = [];
      this.#heldBytes = 0;
    }
    return bytes.toString("utf8").trimEnd();
  }
}
