/**
 * A part of the reader that consumes items (records) which must be in one piece. It neither copies nor keeps the
 * bytes: the reader collects the pieces of an item that straddles two chunks.
 */
export interface ItemParser {
  /**
   * Consumes whole items of `bytes[pos…end)`; stops at the first incomplete one or when `done`.
   * @param base the stream offset of `bytes[0]`, for messages
   * @returns where it stopped
   */
  parse(bytes: Uint8Array, pos: number, end: number, base: number): number;
  /** Behind an incomplete item: how many bytes of it are needed to come any further; never more than are needed. */
  readonly need: number;
  /** The next byte belongs to somebody else. */
  readonly done: boolean;
}
