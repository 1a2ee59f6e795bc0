/** Requests are counted over this span: some hundred batches of push. */
const SPAN_MS = 500;

/** A kernel that resumes and devices that are loaded ask for a few pages on their way, too; a program that walks asks on and on. */
const BEGINS_AT = 10;

/** Pages that come sooner are asked for more seldom: what helps goes on for as long as it does. */
const ENDS_BELOW = 3;

/**
 * Whether a guest that lacks pages is faster than push: it keeps asking for pages that are on their way, and each time
 * waits for the batch that they are in. Then the rate at which pages arrive decides how long it waits.
 */
export class Outrun {
  readonly #asked: number[] = [];
  #isOutrun = false;

  /** The guest has asked for a page that is on its way. */
  asked(nowMs: number): void {
    this.#asked.push(nowMs);
    // More say nothing more, and a destination may ask as often as it likes.
    if (this.#asked.length > BEGINS_AT) this.#asked.shift();
  }

  /** Whether push was outrun at the last {@link look}. */
  get isOutrun(): boolean {
    return this.#isOutrun;
  }

  /** Judges the requests of the span that ends now. */
  look(nowMs: number): void {
    while (this.#asked.length > 0 && this.#asked[0]! <= nowMs - SPAN_MS) this.#asked.shift();
    this.#isOutrun = this.#asked.length >= (this.#isOutrun ? ENDS_BELOW : BEGINS_AT);
  }
}
