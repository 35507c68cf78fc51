/** Hashing for the runtime's tables. */

/**
 * Where a value belongs in a table whose number of entries is a power of two: the high bits of its product with 2^32
 * over the golden ratio.
 */
export function hashIndex(value: u32, entries: u32): u32 {
  return (value * 0x9e3779b1) >> clz(entries - 1);
}
