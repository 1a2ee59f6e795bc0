import { PAGE_BYTES } from "./format.ts";

/** Pages of a group, as the scheduler gives them to connections: neighbours in a group never share a slot. */
const GROUP_PAGES = 512;

/**
 * Groups kept by all bulk connections of a side, 256 MiB of contents: what a guest writes to over and over is seldom
 * more, and memory is taken only for slots that are used.
 */
export const KEPT_GROUPS = 128;

const PAGE_WORDS = PAGE_BYTES / 4;

/**
 * A page of which more words than this have changed travels whole: a quarter, which is about what zstd leaves of a
 * page that it compresses.
 */
export const MOST_CHANGED_WORDS = 256;

const EMPTY = -1;

/** Above any page number, so that block and page make one number. */
const PAGES_PER_BLOCK = 2 ** 32;

/** Pages back to back, seen as bytes and as words. */
export interface PageContents {
  readonly bytes: Buffer;
  readonly words: Int32Array;
}

/** The two views of whole pages. @param bytes begin at a multiple of four in their buffer */
export function pageContents(bytes: Buffer): PageContents {
  return { bytes, words: new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2) };
}

/**
 * What one bulk connection carried last of the pages that a guest keeps writing to, the same at both ends: such a page
 * then travels as its difference from that (Svärd et al. 2011, "Evaluation of delta compression techniques for
 * efficient live migration of large virtual machines"; QEMU's XBZRLE does it by itself, over one connection and without
 * another compression).
 *
 * Each page has one slot it may lie in. Both ends put the same pages in, in the order in which the connection carries
 * them, so that nothing about slots crosses the wire. Allocates nothing per page.
 */
export class KeptPages {
  readonly #slots: number;
  readonly #held: Float64Array;
  #memory: PageContents | null = null;

  /** @param connections bulk connections that share the bound of {@link KEPT_GROUPS} */
  constructor(connections: number) {
    this.#slots = groupsOf(connections) * GROUP_PAGES;
    this.#held = new Float64Array(this.#slots).fill(EMPTY);
  }

  /** Whether the page lies here. */
  has(block: number, page: number): boolean {
    return this.#held[page % this.#slots] === block * PAGES_PER_BLOCK + page;
  }

  /** Keeps a page's contents, in place of what lay in its slot. @param index the page's place in `contents` */
  keep(block: number, page: number, contents: PageContents, index: number): void {
    const slot = page % this.#slots;
    this.#held[slot] = block * PAGES_PER_BLOCK + page;
    contents.bytes.copy(this.#open().bytes, slot * PAGE_BYTES, index * PAGE_BYTES, (index + 1) * PAGE_BYTES);
  }

  /**
   * Keeps a page's contents, and where few words of it have changed puts the difference (exclusive or) in their place.
   * @returns whether it did
   */
  toDifference(block: number, page: number, contents: PageContents, index: number): boolean {
    if (!this.has(block, page)) {
      this.keep(block, page, contents, index);
      return false;
    }
    const { words } = contents;
    const kept = this.#open();
    const slot = page % this.#slots;
    const from = slot * PAGE_WORDS;
    const at = index * PAGE_WORDS;
    let changed = 0;
    for (let word = 0; word < PAGE_WORDS; word += 1) {
      const now = words[at + word] as number;
      const difference = now ^ (kept.words[from + word] as number);
      if (difference !== 0) changed += 1;
      kept.words[from + word] = now;
      words[at + word] = difference;
    }
    if (changed <= MOST_CHANGED_WORDS) return true;
    kept.bytes.copy(contents.bytes, index * PAGE_BYTES, slot * PAGE_BYTES, (slot + 1) * PAGE_BYTES);
    return false;
  }

  /** Puts the contents in place of a difference from a page that lies here, and keeps them. */
  fromDifference(page: number, { words }: PageContents, index: number): void {
    const kept = this.#open().words;
    const from = (page % this.#slots) * PAGE_WORDS;
    const at = index * PAGE_WORDS;
    for (let word = 0; word < PAGE_WORDS; word += 1) {
      const now = (words[at + word] as number) ^ (kept[from + word] as number);
      kept[from + word] = now;
      words[at + word] = now;
    }
  }

  #open(): PageContents {
    this.#memory ??= pageContents(Buffer.from(new ArrayBuffer(this.#slots * PAGE_BYTES)));
    return this.#memory;
  }
}

/**
 * How many groups a connection keeps: groups are dealt to connections in turn, so those of one connection lie a fixed
 * number apart, and only a number of slots without common divisors spreads them over all.
 */
function groupsOf(connections: number): number {
  let groups = Math.floor(KEPT_GROUPS / connections);
  while (commonDivisor(groups, connections) > 1) groups -= 1;
  return groups;
}

function commonDivisor(one: number, other: number): number {
  return other === 0 ? one : commonDivisor(other, one % other);
}
