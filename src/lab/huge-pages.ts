import { readFileSync, writeFileSync } from "node:fs";

/** The kernel's own file of how many pages of 2 MiB it keeps (Documentation/admin-guide/mm/hugetlbpage.rst). */
const FOLDER = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/** A killed QEMU gives its memory back within this. */
const GIVE_TIMEOUT_MS = 3_000;
const GIVE_PAUSE_MS = 20;

/** Bytes of one. */
export const HUGE_PAGE_BYTES = 2 * 1024 ** 2;

/** Huge pages of this host that were reserved for a while; given back when disposed. */
export class HugePages implements Disposable {
  /** Why there are none; null where there are. */
  readonly missing: string | null;
  readonly #reserved: number;

  private constructor(missing: string | null, reserved: number) {
    this.missing = missing;
    this.#reserved = reserved;
  }

  /** Reserves so many pages of 2 MiB beside those that are there. Never throws: {@link missing} says why not. */
  static reserve(pages: number): HugePages {
    try {
      const before = count("nr_hugepages");
      writeFileSync(`${FOLDER}/nr_hugepages`, String(before + pages));
      const reserved = count("nr_hugepages") - before;
      if (reserved >= pages) return new HugePages(null, reserved);
      give(reserved);
      return new HugePages(`this host has memory for ${reserved} of ${pages} huge pages in a row`, 0);
    } catch (error) {
      return new HugePages(`this host lets nobody reserve huge pages: ${(error as Error).message}`, 0);
    }
  }

  [Symbol.dispose](): void {
    if (this.#reserved > 0) give(this.#reserved);
  }
}

/**
 * Takes back so many and no others: there may be pages of other people's. What a process that ends still has becomes
 * surplus, which the kernel may keep when it is free at last; so it is made ours again and taken back again.
 */
function give(pages: number): void {
  const wanted = Math.max(0, count("nr_hugepages") - pages);
  for (let waitedMs = 0; waitedMs <= GIVE_TIMEOUT_MS; waitedMs += GIVE_PAUSE_MS) {
    writeFileSync(`${FOLDER}/nr_hugepages`, String(wanted));
    const left = count("nr_hugepages");
    if (left <= wanted) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, GIVE_PAUSE_MS);
    writeFileSync(`${FOLDER}/nr_hugepages`, String(left));
  }
}

function count(file: string): number {
  return Number(readFileSync(`${FOLDER}/${file}`, "utf8"));
}
