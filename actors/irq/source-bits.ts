/** Lists of 32-bit words with a bit for each interrupt source: bit n % 32 of word n / 32 stands for source n. */

export function bit(words: readonly number[], index: number): boolean {
  return (((words[index >>> 5] ?? 0) >>> (index & 31)) & 1) !== 0;
}

export function setBit(words: number[], index: number, on: boolean): void {
  const mask = 1 << (index & 31);
  const word = words[index >>> 5] ?? 0;
  words[index >>> 5] = (on ? word | mask : word & ~mask) >>> 0;
}

/** Number of the lowest bit that is one. @param word not 0 */
export function lowest(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** The bits of a word that stand for sources that exist, which are 1 to `sources`. */
export function sourceMask(sources: number, word: number): number {
  const upTo = sources - word * 32;
  const mask = upTo >= 31 ? 0xffff_ffff : 2 ** (upTo + 1) - 1;
  return (word === 0 ? mask & ~1 : mask) >>> 0;
}

/** The sources whose bits are ones, ascending. */
export function listOf(words: readonly number[]): number[] {
  return words.flatMap((_, word) => {
    const indices = Array.from({ length: 32 }, (_, index) => word * 32 + index);
    return indices.filter((index) => bit(words, index));
  });
}

/** A 32-bit word with its bytes in the other order. */
export function swapBytes(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
