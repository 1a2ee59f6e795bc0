import { appendFileSync } from "node:fs";
import { ProgressLine } from "./progress-line.ts";

/** What each command of the lab is told of its output. */
export interface ResultOutputOptions {
  /** Results only, each as a line of JSON. */
  readonly json?: boolean | undefined;
  /** Append each result to this file as a line of JSON. */
  readonly keep?: string | undefined;
}

/** What a measurement says: progress on stderr, each result on stdout when it is there, the last line for programs. */
export class ResultOutput<Result> {
  readonly #options: ResultOutputOptions;
  readonly #describe: (result: Result) => string;
  readonly line = new ProgressLine(process.stderr);
  /** So far. */
  readonly results: Result[] = [];

  /** @param describe for people */
  constructor(options: ResultOutputOptions, describe: (result: Result) => string) {
    this.#options = options;
    this.#describe = describe;
  }

  /** Whether only results are wanted. */
  get isQuiet(): boolean {
    return this.#options.json === true;
  }

  /** What a run is told so that its progress is shown, if it is wanted. */
  get following(): { say?: (text: string) => void } {
    return this.isQuiet ? {} : { say: (text) => this.line.say(text) };
  }

  add(result: Result): void {
    const { keep } = this.#options;
    const json = JSON.stringify(result);
    this.results.push(result);
    this.line.clear();
    if (keep !== undefined) appendFileSync(keep, `${json}\n`);
    process.stdout.write(`${this.isQuiet ? json : this.#describe(result)}\n`);
  }

  /** Ends with one JSON object, unless it is the only result and stands there already. */
  end(last: unknown): void {
    this.line.clear();
    if (!this.isQuiet || last !== this.results.at(-1)) process.stdout.write(`${JSON.stringify(last)}\n`);
  }
}
