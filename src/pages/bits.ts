/** Bits set in a 32-bit word. */
export function popcount(word: number): number {
  let sum = word - ((word >>> 1) & 0x55555555);
  sum = (sum & 0x33333333) + ((sum >>> 2) & 0x33333333);
  return Math.imul((sum + (sum >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** The number of the lowest bit set in a word that is not 0. */
export function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** A word whose bits `from` (inclusive) to `to` (exclusive) are set, `0 <= from < to <= 32`. */
export function bitRange(from: number, to: number): number {
  return (-1 << from) & (-1 >>> (32 - to));
}

/** How many bits are set in a row in `word`, beginning with bit `from`. */
export function onesFrom(word: number, from: number): number {
  const zeros = ~(word >>> from);
  return zeros === 0 ? 32 : lowestBit(zeros);
}
